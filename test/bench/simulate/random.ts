/** A stream of chance that is the same for the same seed. */
export interface Dice {
	/** 0 up to, not including, 1. */
	unit(): number;
	between(low: number, high: number): number;
	/** A whole number from `low` to `high`, both included. */
	whole(low: number, high: number): number;
	chance(probability: number): boolean;
	exponential(mean: number): number;
	/** Around `median`, skewed to the right; `spread` is the standard deviation of the logarithm. */
	logNormal(median: number, spread: number): number;
	pick<T>(list: readonly T[]): T;
}

/** Creates the stream of a seed and a purpose; two purposes of one seed have nothing in common. */
export function createDice(seed: number, purpose: string): Dice {
	let state = hash(`${seed}/${purpose}`);
	const unit = () => {
		state = (state + 0x9e3779b9) | 0;
		let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
		mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
		return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
	};
	const between = (low: number, high: number) => low + (high - low) * unit();
	const whole = (low: number, high: number) => low + Math.floor(unit() * (high - low + 1));
	return {
		unit,
		between,
		whole,
		chance: (probability) => unit() < probability,
		exponential: (mean) => -mean * Math.log(1 - unit()),
		logNormal: (median, spread) => {
			const normal = Math.sqrt(-2 * Math.log(1 - unit())) * Math.cos(2 * Math.PI * unit());
			return median * Math.exp(spread * normal);
		},
		pick: (list) => {
			const picked = list[whole(0, list.length - 1)];
			if (picked === undefined) throw new RangeError("Nothing to pick from");
			return picked;
		},
	};
}

function hash(text: string): number {
	let value = 0x811c9dc5;
	for (const character of text) value = Math.imul(value ^ (character.codePointAt(0) ?? 0), 0x01000193);
	return value;
}
