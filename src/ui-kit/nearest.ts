/** With more suggestions than this, none is near. */
const MOST = 3;
/** A longer text is not a mistyped word. */
const LONGEST = 64;

/**
 * Returns the edit distance of two texts, in whole characters: how many were mistyped, left out, added or swapped. A
 * swap of neighbours counts once.
 */
export function editDistance(a: string, b: string): number {
	const [from, to] = [[...a], [...b]];
	let beforeLast: number[] = [];
	let last = [0, ...to.map((_letter, at) => at + 1)];
	from.forEach((letter, row) => {
		const next = [row + 1];
		to.forEach((other, column) => {
			const same = (last[column] ?? 0) + (letter === other ? 0 : 1);
			const least = Math.min(same, (last[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1);
			const isSwapped = row > 0 && column > 0 && letter === to[column - 1] && from[row - 1] === other;
			next.push(isSwapped ? Math.min(least, (beforeLast[column - 1] ?? 0) + 1) : least);
		});
		beforeLast = last;
		last = next;
	});
	return last[to.length] ?? 0;
}

/** Normalizes a text for comparison: case, width and composition of its characters do not matter. */
export function comparable(text: string): string {
	return text.normalize("NFKC").toLowerCase();
}

/**
 * Returns which of `known` may have been meant by `typed`: those that start with it, else those that differ by the
 * fewest characters. Empty if nothing is near, or too much is.
 */
export function nearest(typed: string, known: readonly string[]): string[] {
	const wanted = comparable(typed);
	if (wanted === "" || wanted.length > LONGEST) return [];
	const begun = [...wanted].length > 1 ? known.filter((word) => comparable(word).startsWith(wanted)) : [];
	if (begun.length > 0) return begun.length > MOST ? [] : [...new Set(begun)];
	const near = known
		.map((word) => ({ word, distance: editDistance(wanted, comparable(word)) }))
		.filter(({ word, distance }) => distance <= mostWrong(wanted, comparable(word)));
	const least = Math.min(...near.map(({ distance }) => distance));
	const words = new Set(near.filter(({ distance }) => distance === least).map(({ word }) => word));
	return words.size > MOST ? [] : [...words];
}

/** Allows one wrong character in a short word, and fewer than a third in a long one; never all. */
function mostWrong(a: string, b: string): number {
	const length = Math.max([...a].length, [...b].length);
	if (length < 2) return 0;
	return Math.max(1, Math.ceil(length / 3) - 1);
}

/** Returns the end of a sentence about an unknown word, naming what may have been meant; empty if nothing is near. */
export function didYouMean(meant: readonly string[]): string {
	return meant.length > 0 ? ` Did you mean ${oneOfThem(meant)}?` : "";
}

function oneOfThem(words: readonly string[]): string {
	const last = words.at(-1) ?? "";
	return words.length > 1 ? `${words.slice(0, -1).join(", ")} or ${last}` : last;
}
