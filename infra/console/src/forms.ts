// What forms share: a draft that is kept, and sending it once.
import { useRef, useState } from "preact/hooks";
import { sentence } from "./hooks";

/** What was typed, kept for the tab: signing in again leaves the page and comes back. */
export function useDraft<T extends object>(name: string, empty: T): [T, (draft: T) => void] {
  const key = `draft ${name}`;
  const [draft, setDraft] = useState<T>(() => {
    try {
      return { ...empty, ...(JSON.parse(sessionStorage.getItem(key) ?? "{}") as Partial<T>) };
    } catch {
      return empty;
    }
  });
  const keep = (next: T) => {
    sessionStorage.setItem(key, JSON.stringify(next));
    setDraft(next);
  };
  return [draft, keep];
}

interface Sending {
  isSending: boolean;
  problem: string | null;
  /** What came of it, as a sentence. */
  done: string | null;
  /** Do it, unless it is being done; `act` returns what came of it. */
  send: (act: () => Promise<string>) => Promise<void>;
}

export function useSending(): Sending {
  const [state, setState] = useState<Omit<Sending, "send">>({ isSending: false, problem: null, done: null });
  const isBusy = useRef(false); // the button may be pressed again before it is drawn disabled
  const send = async (act: () => Promise<string>) => {
    if (isBusy.current) return;
    isBusy.current = true;
    setState({ isSending: true, problem: null, done: null });
    try {
      const done = await act();
      setState({ isSending: false, problem: null, done });
    } catch (error) {
      setState({ isSending: false, problem: sentence(error), done: null });
    } finally {
      isBusy.current = false;
    }
  };
  return { ...state, send };
}
