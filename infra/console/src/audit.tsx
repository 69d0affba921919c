// What administrators did to a leaderboard, and why.
import { useState } from "preact/hooks";
import { boardPath, get, type AuditLog } from "./api";
import { usePolled } from "./hooks";
import { Instant, Problem } from "./parts";
import { count, texts } from "./texts";

export function AuditPage({ board }: { board: string }) {
  const [after, setAfter] = useState(0);
  const { value, error } = usePolled(
    (signal) => get<AuditLog>(`${boardPath(board, "audit-log")}?limit=100&after=${after}`, signal), 10_000, [board, after],
  );
  const heads = Object.values(texts.auditColumns);
  return (
    <>
      <h1>{texts.auditLog}</h1>
      <Problem error={error} />
      {value?.entries.length === 0 && <p>{texts.noAudit}</p>}
      {value && value.entries.length > 0 && (
        <div class="scrolled" tabIndex={0} role="region" aria-label={texts.auditLog}>
          <table>
            <thead>
              <tr>{heads.map((head) => <th scope="col" key={head}>{head}</th>)}</tr>
            </thead>
            <tbody>
              {value.entries.map((one) => (
                <tr key={one.number}>
                  <td class="number">{count(one.number)}</td>
                  <td>{one.kind}</td>
                  <td>{one.actor}</td>
                  <td><Instant at={one.at} /></td>
                  <td class="who">{[one.userId, one.subject, one.from && `${one.from} – ${one.to}`].filter(Boolean).join(" · ")}</td>
                  <td class="who">{one.reason}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {value?.nextAfter != null && <button onClick={() => setAfter(value.nextAfter!)}>{texts.more}</button>}
      {after > 0 && <button onClick={() => setAfter(0)}>{texts.backToStart}</button>}
    </>
  );
}
