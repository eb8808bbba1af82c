/** A refused request's body is read up to here, and waited for no longer than this. */
const LONGEST_REFUSAL_BYTES = 65_536;
const REFUSAL_WAIT_MS = 2000;

/** The body of a response, as far as it was read. */
export interface BodyText {
	readonly text: string;
	/** False if the limit, the signal or a broken connection cut it off. */
	readonly isWhole: boolean;
	/** The error of a connection that broke in mid-body. */
	readonly broken?: { readonly by: unknown };
}

/**
 * Reads at most `limit` bytes of a body, until `signal` fires. Never rejects: of a connection that breaks it gives what
 * had arrived, and the error. The signal given to `fetch` is not enough: once the answer has begun, its tie to the body
 * can be collected as garbage, and an answer without an end would be waited for without an end.
 */
export async function readBody(response: Response, limit: number, signal: AbortSignal): Promise<BodyText> {
	const reader = response.body?.getReader();
	if (!reader) return { text: "", isWhole: true };
	const stop = () => void reader.cancel().catch(() => undefined);
	signal.addEventListener("abort", stop, { once: true });
	const decoder = new TextDecoder();
	let text = "";
	let remaining = limit;
	try {
		while (!signal.aborted) {
			const { done, value } = await reader.read();
			// A body that was cancelled is done, too.
			if (done) return { text: text + decoder.decode(), isWhole: !signal.aborted };
			text += decoder.decode(value.subarray(0, remaining), { stream: true });
			remaining -= value.byteLength;
			if (remaining < 0) break;
		}
		return { text, isWhole: false };
	} catch (error) {
		return { text, isWhole: false, broken: { by: error } };
	} finally {
		signal.removeEventListener("abort", stop);
		// The rest of the body is not wanted; cancelling lets go of the connection.
		stop();
	}
}

/**
 * Reads a body as text; empty if it has more than `limit` bytes: no endpoint of ours answers so much, and half a
 * document is none. Rejects on abort, and where the connection breaks.
 */
export async function readText(response: Response, signal: AbortSignal, limit: number): Promise<string> {
	const { text, isWhole, broken } = await readBody(response, limit, signal);
	if (broken) throw broken.by;
	signal.throwIfAborted();
	return isWhole ? text : "";
}

/**
 * Reads the beginning of a refused request's body. Undefined if the connection broke: status and headers are enough.
 */
export async function readRefusal(response: Response): Promise<string | undefined> {
	const body = await readBody(response, LONGEST_REFUSAL_BYTES, AbortSignal.timeout(REFUSAL_WAIT_MS));
	return body.broken ? undefined : body.text;
}
