/** What happens next. */
export interface Queue<T> {
	push(at: number, item: T): void;
	/** The earliest entry; of two at one moment the one that came first. */
	pop(): { readonly at: number; readonly item: T } | undefined;
}

/** An empty queue, in the order of time. */
export function createQueue<T>(): Queue<T> {
	const heap: { readonly at: number; readonly order: number; readonly item: T }[] = [];
	let pushed = 0;
	const isBefore = (a: number, b: number) => {
		const one = heap[a];
		const other = heap[b];
		if (!one || !other) return false;
		return one.at < other.at || (one.at === other.at && one.order < other.order);
	};
	const swap = (a: number, b: number) => {
		const one = heap[a];
		const other = heap[b];
		if (!one || !other) return;
		heap[a] = other;
		heap[b] = one;
	};
	return {
		push: (at, item) => {
			heap.push({ at, order: pushed, item });
			pushed += 1;
			for (let index = heap.length - 1; index > 0; ) {
				const parent = (index - 1) >> 1;
				if (!isBefore(index, parent)) break;
				swap(index, parent);
				index = parent;
			}
		},
		pop: () => {
			const [top] = heap;
			const last = heap.pop();
			if (!top || !last || top === last) return top;
			heap[0] = last;
			for (let index = 0; ; ) {
				const left = 2 * index + 1;
				const child = isBefore(left + 1, left) ? left + 1 : left;
				if (!isBefore(child, index)) break;
				swap(child, index);
				index = child;
			}
			return top;
		},
	};
}
