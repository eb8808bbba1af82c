/** A queue of answers for the next requests, and one that repeats once the queue is empty. */
export class Script<A> {
	#queue: A[] = [];
	#repeating: A | undefined;

	/** Appends answers, each used once. */
	next(...answers: readonly A[]): void {
		this.#queue.push(...answers);
	}

	/** Sets the answer used whenever the queue is empty; undefined returns to the normal behaviour. */
	always(answer: A | undefined): void {
		this.#repeating = answer;
	}

	/** The next queued answer, removed from the queue. */
	takeQueued(): A | undefined {
		return this.#queue.shift();
	}

	/** The next queued answer, else the repeating one. */
	take(): A | undefined {
		return this.#queue.shift() ?? this.#repeating;
	}

	/** What `take` would return, without removing it. */
	peek(): A | undefined {
		return this.#queue[0] ?? this.#repeating;
	}

	get repeating(): A | undefined {
		return this.#repeating;
	}

	/** How many queued answers are still unused. */
	get pending(): number {
		return this.#queue.length;
	}

	/** Forgets the queue and the repeating answer. */
	clear(): void {
		this.#queue = [];
		this.#repeating = undefined;
	}
}
