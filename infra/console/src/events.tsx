// A table of ledger events, each with a note on what became of it.
import type { LedgerEvent } from "./api";
import { Instant } from "./parts";
import { count, texts } from "./texts";

export interface NotedEvent {
  event: LedgerEvent;
  note: string;
  /** Whether it is struck out: it is void, or its day is out. */
  isOut?: boolean;
}

export function EventTable({ events }: { events: NotedEvent[] }) {
  if (events.length === 0) return null;
  const heads = texts.eventColumns;
  return (
    <table class="events">
      <thead>
        <tr>
          <th scope="col">{heads.event}</th>
          <th scope="col" class="number">{heads.points}</th>
          <th scope="col">{heads.occurred}</th>
          <th scope="col" class="wide-only">{heads.appended}</th>
          <th scope="col" class="wide-only">{heads.place}</th>
          <td>{heads.mark}</td>
        </tr>
      </thead>
      <tbody>
        {events.map(({ event, note, isOut }) => (
          <tr key={event.eventId} class={event.voidedByEntry !== null || isOut ? "void" : undefined}>
            <td class="who" title={event.eventId}><bdi>{event.eventId}</bdi></td>
            <td class="number">{count(event.points)}</td>
            <td><Instant at={event.occurredAt} /></td>
            <td class="wide-only"><Instant at={event.appendedAt} /></td>
            <td class="wide-only">{event.topic && `${event.topic} ${event.partition}:${event.offset}`}</td>
            <td class="quiet">{note}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
