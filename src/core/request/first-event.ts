/**
 * Returns the events of `open`, which is called when the first one is requested. `onFirst` gets the first event, or
 * undefined if there is none. Later events pass untouched: an answer has thousands, and wrapping each in a generator
 * would cost more than all other work on them.
 */
export function watchingFirst<T>(
	open: () => AsyncIterable<T>,
	onFirst: (event: T | undefined) => void,
): AsyncIterable<T> {
	return {
		[Symbol.asyncIterator]: () => {
			let source: AsyncIterator<T> | undefined;
			const first = async () => {
				let event: T | undefined;
				try {
					source = open()[Symbol.asyncIterator]();
					const result = await source.next();
					if (!result.done) event = result.value;
					return result;
				} finally {
					onFirst(event);
				}
			};
			return { next: () => (source ? source.next() : first()) };
		},
	};
}
