import { readBody } from "../core/bounded-body.ts";

/**
 * The body of a response as text. One of more than `limit` bytes counts as empty: no endpoint of ours answers so much, and
 * half a document is none. Rejects on abort.
 */
export async function readText(response: Response, signal: AbortSignal, limit: number): Promise<string> {
	const { text, isWhole } = await readBody(response, limit, signal);
	signal.throwIfAborted();
	return isWhole ? text : "";
}
