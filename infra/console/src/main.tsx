// The frame of the console: header, navigation, and which view an address has.
import { render } from "preact";
import { useEffect, useErrorBoundary, useRef, useState } from "preact/hooks";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { ApiError } from "./api";
import { AuditPage } from "./audit";
import { BoardPage } from "./board";
import { BoardsPage } from "./boards";
import { link, usePlace } from "./hooks";
import { LettersPage } from "./letters";
import { Notices, Problem } from "./parts";
import { PipelinePage } from "./pipeline";
import { PlayerPage } from "./player";
import { ResultsPage } from "./results";
import { useSignIn } from "./signin";
import { texts } from "./texts";

/** Move the focus to the heading of another view, so that keys and screen readers go on there. */
function useFocusOnHeading(view: string) {
  const before = useRef(view);
  useEffect(() => {
    if (before.current === view) return;
    before.current = view;
    const heading = document.querySelector<HTMLElement>("main h1");
    if (heading === null) return;
    heading.tabIndex = -1;
    heading.focus();
  }, [view]);
}

function View() {
  const { parts, query } = usePlace();
  const [area, board, below, user] = parts;
  useFocusOnHeading(parts.join("/"));
  if (area === "?") return <><p class="problem" role="status">{texts.oddLink}</p><BoardsPage /></>;
  if (area === "pipeline") return board === "dead-letters" ? <LettersPage query={query} /> : <PipelinePage />;
  if (area !== "leaderboards" || board === undefined) return <BoardsPage />;
  if (below === "players" && user !== undefined) return <PlayerPage key={JSON.stringify([board, user])} board={board} user={user} query={query} />;
  if (below === "results") return <ResultsPage key={board} board={board} query={query} />;
  if (below === "audit-log") return <AuditPage key={board} board={board} />;
  return <BoardPage key={board} board={board} query={query} />;
}

function Theme() {
  const [theme, setTheme] = useState<string | null>(null);
  useEffect(() => {
    if (theme !== null) document.documentElement.dataset["theme"] = theme;
  }, [theme]);
  const isDark = theme === null ? matchMedia("(prefers-color-scheme: dark)").matches : theme === "dark";
  return (
    <button class="plain" onClick={() => setTheme(isDark ? "light" : "dark")} aria-label={texts.theme} title={texts.theme}>
      {isDark ? "☀" : "☾"}
    </button>
  );
}

/** A view; where showing it fails, a sentence in its place, and the rest of the page stays. */
function Guarded() {
  const [error, reset] = useErrorBoundary((thrown) => {
    if (!(thrown instanceof ApiError)) console.error(thrown);
  });
  const place = usePlace();
  useEffect(() => reset(), [place]);
  return error ? <p class="problem" role="alert">{error instanceof ApiError ? error.message : texts.broken}</p> : <View />;
}

function App() {
  const signIn = useSignIn();
  const { parts } = usePlace();
  const board = parts[0] === "leaderboards" ? parts[1] : undefined;
  const shown = parts.join(" · ");
  useEffect(() => {
    document.title = [shown, texts.title].filter(Boolean).join(" – ");
  }, [shown]);
  const isAt = (...names: (string | undefined)[]) => names.every((one, at) => parts[at] === one);
  const tab = (to: string[], text: string, current: boolean) => (
    <a href={link(to)} aria-current={current ? "page" : undefined}>
      {text}
    </a>
  );
  return (
    <>
      <header>
        <nav aria-label={texts.title}>
          {tab([], texts.boards, parts.length === 0)}
          {board !== undefined && (
            <>
              {tab(["leaderboards", board], board, isAt("leaderboards", board, undefined) || parts[2] === "players")}
              {tab(["leaderboards", board, "results"], texts.results, parts[2] === "results")}
              {tab(["leaderboards", board, "audit-log"], texts.auditLog, parts[2] === "audit-log")}
            </>
          )}
          {tab(["pipeline"], texts.pipeline, isAt("pipeline"))}
        </nav>
        <div class="tools">
          {signIn.start !== null && (
            <button onClick={signIn.start}>{signIn.isSignedIn ? texts.signOut : texts.signIn}</button>
          )}
          <Theme />
        </div>
      </header>
      <main>
        <Notices signIn={signIn.isSignedIn ? null : signIn.start} />
        <Problem error={signIn.problem} />
        {signIn.isReady && <Guarded key={signIn.session} />}
      </main>
    </>
  );
}

render(<App />, document.getElementById("app")!);
