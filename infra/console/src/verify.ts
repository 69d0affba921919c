// Compares a file with what its manifest says, in the browser.
import { ApiError } from "./api";
import { texts } from "./texts";

const LINE_FEED = 10;

function hex(digest: ArrayBuffer): string {
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** How many lines newline-delimited JSON has, of the content as it is or by gzip. */
async function lines(content: ArrayBuffer): Promise<number> {
  const bytes = new Uint8Array(content);
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  const plain = isGzip
    ? new Uint8Array(await new Response(new Blob([content]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer())
    : bytes;
  return plain.reduce((found, byte) => found + Number(byte === LINE_FEED), 0);
}

/** Whether a file has this SHA-256, and this many rows if it is newline-delimited JSON.
 *
 * Throws ApiError where the file is not there or no longer open, and TypeError where the file's server does not let pages read it.
 */
export async function check(url: string, sha256: string | null, rows: number | null): Promise<boolean> {
  const answer = await fetch(url);
  if (!answer.ok) throw new ApiError(texts.verifyFailed(answer.status), answer.status);
  const content = await answer.arrayBuffer();
  const digest = hex(await crypto.subtle.digest("SHA-256", content));
  const isText = /\.ndjson(\.gz)?(\?|$)/.test(url);
  return digest === sha256 && (!isText || rows === null || (await lines(content)) === rows);
}
