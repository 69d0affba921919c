// An OpenID Connect issuer for tests: code flow with PKCE, tokens signed by RS256. Its first line is its address. Each line
// that it reads is the claims of the tokens from then on; it says them again once they are.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const packages = createRequire(process.argv[2]);
const { OAuth2Server } = await import(pathToFileURL(packages.resolve("oauth2-mock-server")).href);

const server = new OAuth2Server();
let claims = {};
server.service.on("beforeTokenSigning", (token) => Object.assign(token.payload, claims));
await server.issuer.keys.generate("RS256");
await server.start(0, "localhost");
console.log(server.issuer.url);
for await (const line of createInterface({ input: process.stdin })) {
  claims = JSON.parse(line);
  console.log(line);
}
await server.stop();
