/** Settles as `work` does, or rejects with the abort reason as soon as `signal` fires; `work` is not stopped. */
export function raceAbort<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
	if (!signal) return work;
	return new Promise((resolve, reject) => {
		const onAbort = () => reject(signal.reason);
		if (signal.aborted) onAbort();
		signal.addEventListener("abort", onAbort, { once: true });
		work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
	});
}

/** Settles as `work` does, or with `otherwise()` after `ms`; `work` is not stopped. */
export function within<T>(work: Promise<T>, ms: number, otherwise: () => T): Promise<T> {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(() => resolve(otherwise()), ms);
		work.finally(() => clearTimeout(timer)).then(resolve, reject);
	});
}
