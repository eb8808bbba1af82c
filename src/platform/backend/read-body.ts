/** Limits for reading the body of a refused request. */
const LONGEST_REFUSAL_BYTES = 65_536;
const REFUSAL_WAIT_MS = 2000;

/** The body of a response, as far as it was read. */
interface BodyText {
	readonly text: string;
	/** False if `maxBytes`, the signal or a broken connection cut it off. */
	readonly isWhole: boolean;
	/** The error of a connection that broke while the body was read. */
	readonly broken?: { readonly by: unknown };
}

/**
 * Reads at most `maxBytes` bytes of a body, until `signal` fires. Never rejects: if the connection breaks, returns what
 * had arrived, and the error. The signal given to `fetch` is not enough: once the answer has started, its tie to the
 * body may be garbage-collected, and an endless answer would be awaited forever.
 */
export async function readBody(response: Response, maxBytes: number, signal: AbortSignal): Promise<BodyText> {
	const reader = response.body?.getReader();
	if (!reader) return { text: "", isWhole: true };
	const stop = () => void reader.cancel().catch(() => undefined);
	signal.addEventListener("abort", stop, { once: true });
	const decoder = new TextDecoder();
	let text = "";
	let remaining = maxBytes;
	try {
		while (!signal.aborted) {
			const { done, value } = await reader.read();
			// A cancelled body is done too.
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
		// The rest of the body is not needed. Cancelling releases the connection.
		stop();
	}
}

/**
 * Reads a body as text; empty if it has more than `maxBytes`. None of these endpoints answers that much, and half a
 * document is useless. Rejects on abort, and if the connection breaks.
 */
export async function readText(response: Response, signal: AbortSignal, maxBytes: number): Promise<string> {
	const { text, isWhole, broken } = await readBody(response, maxBytes, signal);
	if (broken) throw broken.by;
	signal.throwIfAborted();
	return isWhole ? text : "";
}

/**
 * Reads the beginning of a refused request's body. Undefined if the connection broke, since status and headers are
 * enough.
 */
export async function readRefusal(response: Response): Promise<string | undefined> {
	const body = await readBody(response, LONGEST_REFUSAL_BYTES, AbortSignal.timeout(REFUSAL_WAIT_MS));
	return body.broken ? undefined : body.text;
}
