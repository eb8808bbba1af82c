const TIMES_LONGER = 16;

/**
 * True where `work` on a text takes time by its length, and not by its square. Sixteen times the length is at most 16
 * times the work then, else 256 times; what other processes do and the first runs of a function blur that, and not so
 * much.
 */
export function isLinear(work: (text: string) => void, piece: string): boolean {
	const textOf = (length: number) => piece.repeat(Math.ceil(length / piece.length));
	const [short, long] = [textOf(4000), textOf(4000 * TIMES_LONGER)];
	return cost(work, long) / cost(work, short) < 4 * TIMES_LONGER;
}

/** The least of several rounds, in microseconds of this process. */
function cost(work: (text: string) => void, text: string): number {
	let least = Number.POSITIVE_INFINITY;
	for (let round = 0; round < 5; round += 1) {
		const before = process.cpuUsage();
		work(text);
		const { user, system } = process.cpuUsage(before);
		least = Math.min(least, user + system);
	}
	return Math.max(1, least);
}
