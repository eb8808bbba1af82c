/**
 * The events of `open`, which is called when the first one is asked for. `onFirst` gets that one, or undefined where
 * none came. All further events pass untouched: an answer has thousands, and a generator around them costs each of them
 * more than all else that happens to it here.
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
