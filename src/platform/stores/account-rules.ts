import { isAbsolute } from "node:path";
import * as z from "zod/mini";
import { type AccountSets, EVERYWHERE } from "../../core/account-sets.ts";
import { CAPPABLE_WINDOWS, type Caps, type Floors, windowCalled } from "../../core/caps.ts";
import { anyAccountIdSchema } from "../ids.ts";
import { lazily } from "../lazily.ts";

/** Reports an invalid value in the file, and what applies instead. */
type Complain = (name: string, wanted: string, instead: string) => void;

const groupSchema = lazily(() => z.record(z.string(), z.unknown()));
const idsSchema = lazily(() => z.array(anyAccountIdSchema));
/** Such as `20`, `"20"` or `"20%"`. */
const percentSchema = lazily(() =>
	z.union([
		z.number(),
		z.pipe(
			z.string().check(z.regex(/^\d+ ?%?$/)),
			z.transform((text: string) => Number.parseInt(text, 10)),
		),
	]),
);

const CAPS_WANTED = 'percentages from 1 to 99 by account id and window, as {"3f9c0a7be21d": {"7d": 20}}';
const SETS_WANTED = "lists of account ids by absolute folder";

/** Keeps an account unused, since no window ever has more left. */
const ALL_OF_IT = 100;

/** Reads caps as stored. An invalid cap keeps its account unused: a typo must never lift a cap. */
export function capsIn(stored: unknown, name: string, complain: Complain): Caps {
	if (stored === undefined) return {};
	const group = groupSchema().safeParse(stored).data;
	if (!group) complain(name, CAPS_WANTED, "no cap applies");
	return Object.fromEntries(Object.entries(group ?? {}).map(([id, floors]) => [id, floorsIn(floors, name, complain)]));
}

function floorsIn(stored: unknown, name: string, complain: Complain): Floors {
	const group = groupSchema().safeParse(stored).data;
	if (!group) {
		complain(name, CAPS_WANTED, "an account whose caps cannot be read stays unused");
		return Object.fromEntries(CAPPABLE_WINDOWS.map((typed) => [windowCalled(typed) ?? typed, ALL_OF_IT]));
	}
	const floors = new Map<string, number>();
	for (const [typed, value] of Object.entries(group)) {
		const window = windowCalled(typed);
		const floor = percentSchema().safeParse(value).data ?? ALL_OF_IT;
		if (window === undefined) complain(name, CAPS_WANTED, "a window that does not exist is passed over");
		else if (floor <= 0) complain(name, CAPS_WANTED, "a cap of 0 or less is no cap");
		else if (floor >= ALL_OF_IT) complain(name, CAPS_WANTED, "any other cap keeps its account unused");
		const key = window ?? typed;
		floors.set(key, Math.max(floor, floors.get(key) ?? 0));
	}
	return Object.fromEntries(floors);
}

/** Reads account sets as stored. A set that cannot be read allows no account: a typo must never lift a set. */
export function setsIn(stored: unknown, name: string, complain: Complain): AccountSets {
	if (stored === undefined) return {};
	const group = groupSchema().safeParse(stored).data;
	if (!group) {
		complain(name, SETS_WANTED, "no account serves until it is corrected");
		return { [EVERYWHERE]: [] };
	}
	const sets = Object.entries(group ?? {}).map(([folder, ids]) => {
		const { data } = idsSchema().safeParse(ids);
		if (!isAbsolute(folder)) complain(name, SETS_WANTED, "a folder that is not absolute is passed over");
		else if (!data) complain(name, SETS_WANTED, "a set that cannot be read allows no account");
		return [folder, data ?? []] as const;
	});
	// The key of the set that applies everywhere is not a person's folder.
	return Object.fromEntries(sets.filter(([folder]) => isAbsolute(folder)));
}
