// Builds into the API function, which serves the files as they are: three of them, with fixed names.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { defineConfig } from "vite";

// What the files were built from, so that a test can tell that they are up to date without building them.
function sources() {
  const names = readdirSync("src").filter((name) => name !== "openapi.d.ts").map((name) => `src/${name}`);
  const hash = createHash("sha256");
  for (const name of ["index.html", "package-lock.json", "vite.config.js", ...names.sort()]) hash.update(readFileSync(name));
  return hash.digest("hex") + "\n";
}

const stamp = {
  name: "stamp",
  generateBundle() {
    this.emitFile({ type: "asset", fileName: "sources.sha256", source: sources() });
  },
};

export default defineConfig({
  base: "./",
  plugins: [stamp],
  build: {
    outDir: "../../functions/api/console",
    emptyOutDir: true,
    modulePreload: false,
    target: "es2022",
    rolldownOptions: {
      output: { entryFileNames: "console.js", assetFileNames: "console[extname]" },
    },
  },
});
