const SHORT_LENGTH = 500;
const TIMES_LONGER = 64;
const ROUNDS = 12;

/**
 * True where `work` on a text takes time by its length, and not by its square. A long text is compared with as many
 * short ones as have its length together: once the time is linear both take the same, while a square takes 64 times as
 * long for the long one. Memory alone may make it a few times longer. Other processes and a function that is not
 * compiled yet can only add time, so the least of each counts, and a first round that shows a linear time is enough.
 */
export function isLinear(work: (text: string) => void, piece: string): boolean {
	const textOf = (length: number) => piece.repeat(Math.ceil(length / piece.length));
	const [short, long] = [textOf(SHORT_LENGTH), textOf(SHORT_LENGTH * TIMES_LONGER)];
	let [leastOfShort, leastOfLong] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
	for (let round = 0; round < ROUNDS; round += 1) {
		leastOfShort = Math.min(leastOfShort, cost(work, short, TIMES_LONGER));
		leastOfLong = Math.min(leastOfLong, cost(work, long, 1));
		if (round > 0 && leastOfLong / leastOfShort < TIMES_LONGER / 4) return true;
	}
	return false;
}

/** In microseconds of this process. */
function cost(work: (text: string) => void, text: string, times: number): number {
	const before = process.cpuUsage();
	for (let time = 0; time < times; time += 1) work(text);
	const { user, system } = process.cpuUsage(before);
	return Math.max(1, user + system);
}
