/** The body of a response, as far as it was read. */
export interface BodyText {
	readonly text: string;
	/** False where the limit, the signal or a broken connection cut it off. */
	readonly isWhole: boolean;
}

/**
 * Reads at most `limit` bytes of a body, until `signal` fires. The signal given to `fetch` is not enough: once the answer
 * has begun, its tie to the body can be collected as garbage, and an answer that never ends would be waited for for ever.
 * Rejects where the connection breaks.
 */
export async function readBody(response: Response, limit: number, signal: AbortSignal): Promise<BodyText> {
	const { broken, ...read } = await readAllThatCame(response, limit, signal);
	if (broken) throw broken.by;
	return read;
}

/** Reads as {@link readBody} does. Of a connection that breaks it gives what had come until then, and the error. */
export async function readAllThatCame(
	response: Response,
	limit: number,
	signal: AbortSignal,
): Promise<BodyText & { readonly broken?: { readonly by: unknown } }> {
	const reader = response.body?.getReader();
	if (!reader) return { text: "", isWhole: true };
	const stop = () => void reader.cancel().catch(() => undefined);
	signal.addEventListener("abort", stop, { once: true });
	const decoder = new TextDecoder();
	let text = "";
	let left = limit;
	try {
		while (!signal.aborted) {
			const { done, value } = await reader.read();
			// A body that was cancelled is done, too.
			if (done) return { text: text + decoder.decode(), isWhole: !signal.aborted };
			text += decoder.decode(value.subarray(0, left), { stream: true });
			left -= value.byteLength;
			if (left < 0) break;
		}
		return { text, isWhole: false };
	} catch (error) {
		return { text, isWhole: false, broken: { by: error } };
	} finally {
		signal.removeEventListener("abort", stop);
		// Whatever is left of it is not wanted, and lets go of the connection.
		stop();
	}
}
