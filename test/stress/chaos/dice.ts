import { createHash } from "node:crypto";

/** Everything that is left to chance, the same for the same seed. */
export interface Dice {
	/** At least 0, less than 1. */
	roll(): number;
	/** True this often, of 1. */
	chance(of: number): boolean;
	/** A whole number of `from` to `to`, both included. */
	between(from: number, to: number): number;
	pick<T>(of: readonly T[]): T;
	/** One of several, the heavier the likelier. */
	weighed<T extends { readonly weight: number }>(of: readonly T[]): T;
	shuffled<T>(of: readonly T[]): T[];
}

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

/**
 * Dice of their own for each use. What one use throws depends on the seed and on its name alone, and never on how often
 * another one has thrown before, so that processes may run at any pace and meet the same faults.
 */
export function diceOf(seed: number, ...names: readonly (string | number)[]): Dice {
	const digest = createHash("sha256")
		.update([seed, ...names].join("\n"))
		.digest();
	const roll = randomNumbers(digest.readUInt32LE(0));
	const pick = <T>(of: readonly T[]): T => {
		const found = of[Math.floor(roll() * of.length)];
		if (found === undefined) throw new Error("there is nothing to pick from");
		return found;
	};
	return {
		roll,
		chance: (of) => roll() < of,
		between: (from, to) => from + Math.floor(roll() * (to - from + 1)),
		pick,
		weighed: (of) => {
			let left = roll() * of.reduce((sum, { weight }) => sum + weight, 0);
			for (const each of of) {
				left -= each.weight;
				if (left < 0) return each;
			}
			return pick(of);
		},
		shuffled: (of) => {
			const rest = [...of];
			return rest.map((_, index) => {
				const other = index + Math.floor(roll() * (rest.length - index));
				const [here, there] = [rest[index], rest[other]];
				if (here === undefined || there === undefined) throw new Error("an index is out of the list");
				rest[other] = here;
				rest[index] = there;
				return there;
			});
		},
	};
}
