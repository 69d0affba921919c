// The frame of the console: header, navigation, and which view an address has.
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { AuditPage } from "./audit";
import { BoardPage } from "./board";
import { BoardsPage } from "./boards";
import { link, usePlace } from "./hooks";
import { PipelinePage } from "./pipeline";
import { PlayerPage } from "./player";
import { ResultsPage } from "./results";
import { useSignIn } from "./signin";
import { texts } from "./texts";

function View() {
  const { parts, query } = usePlace();
  const [area, board, below, user] = parts;
  if (area === "pipeline") return <PipelinePage />;
  if (area !== "leaderboards" || board === undefined) return <BoardsPage />;
  if (below === "players" && user !== undefined) return <PlayerPage key={user} board={board} user={user} query={query} />;
  if (below === "results") return <ResultsPage board={board} query={query} />;
  if (below === "audit-log") return <AuditPage board={board} />;
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

function App() {
  const signIn = useSignIn();
  const { parts } = usePlace();
  const board = parts[0] === "leaderboards" ? parts[1] : undefined;
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
      <main>{signIn.isReady && <View key={String(signIn.isSignedIn)} />}</main>
    </>
  );
}

render(<App />, document.getElementById("app")!);
