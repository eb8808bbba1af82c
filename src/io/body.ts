/**
 * The body of a response as text. The signal given to `fetch` is not enough: once the answer has begun, its tie to the
 * body can be collected as garbage, and an answer that never ends would be waited for for ever. Rejects on abort.
 */
export async function textOf(response: Response, signal: AbortSignal): Promise<string> {
	const reader = response.body?.getReader();
	if (!reader) return "";
	const stop = () => void reader.cancel().catch(() => undefined);
	signal.addEventListener("abort", stop, { once: true });
	const decoder = new TextDecoder();
	let text = "";
	try {
		for (;;) {
			signal.throwIfAborted();
			const { done, value } = await reader.read();
			// A body that was cancelled is done, too.
			signal.throwIfAborted();
			if (done) return text + decoder.decode();
			text += decoder.decode(value, { stream: true });
		}
	} finally {
		signal.removeEventListener("abort", stop);
	}
}
