import { ownValue } from "../../core/own-value.ts";

/**
 * Decides about a value that changed on both sides since it was `before`: `mine` here, `theirs` in the file. Undefined
 * stands for a member that is missing, or that is to be removed.
 */
type Resolve = (key: string, mine: unknown, theirs: unknown, before: unknown) => unknown;

/** How a difference is applied if the file has changed too. */
export interface Conflicts {
	readonly resolve: Resolve;
	/** The members only make sense together. Parts of two of them would make a third. */
	readonly areWhole?: boolean;
	/** How conflicts are resolved within a member, by its name. */
	readonly within?: Readonly<Record<string, Conflicts>>;
}

type Group = Record<string, unknown>;

/** Values nested deeper than this are copied as a whole. */
const DEEPEST = 12;

/**
 * Applies the difference between `base` and `mine` to `theirs`: member by member, and row by row for lists of rows with
 * an `id`. Members and rows that are equal in `base` and `mine` stay as they are in `theirs`.
 */
export function carryOver(base: Group, mine: Group, theirs: Group, conflicts: Conflicts, depth = 0): void {
	const { resolve, areWhole = false, within = {} } = conflicts;
	for (const key of new Set([...Object.keys(base), ...Object.keys(mine)])) {
		// An assignment would change the prototype of the object. None of our members has this name.
		if (key === "__proto__") continue;
		const [before, after, now] = [own(base, key), own(mine, key), own(theirs, key)];
		if (depth < DEEPEST && isGroup(after) && isGroup(now) && !areWhole) {
			carryOver(isGroup(before) ? before : {}, after, now, ownValue(within, key) ?? { resolve }, depth + 1);
			continue;
		}
		if (isSame(before, after)) continue;
		if (isList(after) && isList(now) && [...after, ...now].some(isRow)) {
			theirs[key] = rowsOf(isList(before) ? before : [], after, now, resolve);
			continue;
		}
		const next = isSame(before, now) ? after : resolve(key, after, now, before);
		if (next === undefined) delete theirs[key];
		else theirs[key] = copy(next);
	}
}

interface Row extends Group {
	readonly id: string;
}

/** Returns the rows of `theirs`, plus what `mine` has added, changed or removed since `base`. */
function rowsOf(base: readonly unknown[], mine: readonly unknown[], theirs: readonly unknown[], resolve: Resolve) {
	const [before, after] = [byId(base), byId(mine)];
	const known = byId(theirs);
	const kept = theirs.flatMap((row) => {
		if (!isRow(row) || known.get(row.id) !== row) return [row];
		const [former, changed] = [before.get(row.id), after.get(row.id)];
		if (former && !changed) return isSame(former, row) ? [] : [row];
		if (!changed || isSame(former, changed)) return [row];
		if (isSame(former, row)) return [copy(changed)];
		return [resolve("row", changed, row, former)];
	});
	const added = [...after].filter(([id]) => !known.has(id) && !before.has(id));
	return [...kept, ...added.map(([, row]) => copy(row))];
}

function byId(rows: readonly unknown[]): Map<string, Row> {
	const found = new Map<string, Row>();
	for (const row of rows) if (isRow(row) && !found.has(row.id)) found.set(row.id, row);
	return found;
}

function isList(value: unknown): value is unknown[] {
	return Array.isArray(value);
}

function isRow(value: unknown): value is Row {
	return isGroup(value) && typeof own(value, "id") === "string";
}

function isGroup(value: unknown): value is Group {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

function own(group: Group, key: string): unknown {
	return Object.hasOwn(group, key) ? group[key] : undefined;
}

function isSame(a: unknown, b: unknown): boolean {
	if (a === b) return true;
	try {
		return JSON.stringify(a) === JSON.stringify(b);
	} catch {
		// Nested too deeply for JSON. Our own values never are, so this one came from the file and is unchanged.
		return true;
	}
}

/** Copies a value, so that later changes of the draft do not change the pending difference. */
function copy(value: unknown): unknown {
	return structuredClone(value);
}
