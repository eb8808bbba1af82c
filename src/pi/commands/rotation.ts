import {
	DEFAULT_SETTINGS,
	type Preference,
	ROTATION_PREFERENCES,
	type RotationSettings,
	type StoredValue,
} from "../../domain/settings.ts";
import { misused, type Outcome, type Subcommand, type SubcommandDeps } from "./subcommand.ts";

/** `/multicodex rotation`: how accounts are chosen and changed; shows every value, or sets some. */
export const rotation: Subcommand = {
	name: "rotation",
	usage: "rotation [name=value …]",
	summary: "how accounts are chosen and changed: show or set",
	complete: (_deps, before) => {
		const given = new Set(before.map((word) => word.split("=")[0]));
		return ROTATION_PREFERENCES.filter(({ key }) => !given.has(key)).flatMap(({ key, choices, summary }) =>
			choices.map((choice) => ({ value: `${key}=${choice}`, label: `${key}=${choice}`, description: summary })),
		);
	},
	run: async (words, _ctx, deps) => {
		if (words.length === 0) return shown(deps, []);
		const wishes = words.map(wishIn);
		const good = wishes.filter((wish) => "value" in wish);
		const problems = wishes.flatMap((wish) => ("problem" in wish ? [wish.problem] : []));
		if (good.length === 0) return { failure: `${problems.join(" ")} ${misused(rotation).failure}` };
		await deps.settings.set(
			Object.fromEntries(good.map(({ preference, value }) => [`rotation.${preference.key}`, value])),
		);
		deps.pool.emit({ type: "changed" });
		return shown(deps, problems);
	},
};

type Wish =
	| { readonly preference: Preference<RotationSettings>; readonly value: StoredValue }
	| { readonly problem: string };

/** `name=value` as it would be stored. */
function wishIn(word: string): Wish {
	const [, key = "", typed = ""] = /^([^=]*)=?(.*)$/s.exec(word) ?? [];
	const preference = ROTATION_PREFERENCES.find((each) => each.key.toLowerCase() === key.toLowerCase());
	if (!preference) return { problem: `There is no "${key}".` };
	const value = /^\d{1,9}$/.test(typed) ? Number(typed) : typed;
	const { rotation: defaults } = DEFAULT_SETTINGS;
	if (preference.read(value, defaults)) return { preference, value };
	return { problem: `${preference.key} must be ${preference.wanted}, and stays as it is.` };
}

function shown({ settings }: SubcommandDeps, problems: readonly string[]): Outcome {
	const now = settings.read().rotation;
	const rows = ROTATION_PREFERENCES.map(({ key, summary, stored }) => [key, String(stored(now)), summary] as const);
	const [first, second] = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
	const lines = rows.map(
		([key, value, summary]) => `${key.padEnd(first ?? 0)}  ${value.padEnd(second ?? 0)}  ${summary}`,
	);
	const json = Object.fromEntries(ROTATION_PREFERENCES.map(({ key, stored }) => [key, stored(now)]));
	return { text: [...problems, ...lines].join("\n"), json: { rotation: json, problems } };
}
