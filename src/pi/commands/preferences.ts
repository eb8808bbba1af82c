import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { getSettingsListTheme } from "@mariozechner/pi-coding-agent";
import { DEFAULT_SETTINGS, type Preference, type Settings, type StoredValue } from "../../domain/settings.ts";
import { aligned } from "../../ui/format.ts";
import type { Paint } from "../../ui/panel.ts";
import { createPreferencesPanel } from "../../ui/preferences-panel.ts";
import { modeOf } from "../output.ts";
import { openPanel } from "../panel.ts";
import { misused, type Outcome, reasonOf, type Subcommand, type SubcommandDeps, tellUnexpected } from "./subcommand.ts";

/** A preference of whatever group, seen from all settings. */
export interface Choosable {
	/** As it is typed and shown. */
	readonly name: string;
	/** Its whole key in the file. */
	readonly key: string;
	readonly summary: string;
	readonly wanted: string;
	readonly choices: readonly string[];
	/** True for a value that it may have. */
	accepts(value: StoredValue): boolean;
	/** The value as it is stored. */
	stored(settings: Settings): StoredValue;
}

/** A group as its subcommand shows it. */
export interface PreferenceGroup {
	/** The subcommand, and the group's name in a result. */
	readonly name: string;
	readonly summary: string;
	/** The head of its panel. */
	readonly title: string;
	readonly preferences: readonly Choosable[];
	/** What the settings come to at this moment, in lines no wider than `width`; plain or painted. */
	preview(ctx: ExtensionCommandContext, deps: SubcommandDeps, width: number, paint: Paint): readonly string[];
}

/** The preferences of a group that stands under `name` in the settings. */
export function preferencesOf<G extends "rotation" | "footer">(
	name: G,
	preferences: readonly Preference<Settings[G]>[],
): Choosable[] {
	return preferences.map(({ key, read, stored, ...told }) => ({
		...told,
		name: key,
		key: `${name}.${key}`,
		accepts: (value) => read(value, DEFAULT_SETTINGS[name]) !== undefined,
		stored: (settings) => stored(settings[name]),
	}));
}

/** Preferences that stand by themselves, those named. */
export function generalPreferences(
	preferences: readonly Preference<Settings>[],
	names: readonly string[],
): Choosable[] {
	return preferences
		.filter(({ key }) => names.includes(key))
		.map(({ key, read, ...told }) => ({
			...told,
			name: key,
			key,
			accepts: (value) => read(value, DEFAULT_SETTINGS) !== undefined,
		}));
}

/** The subcommand of a group: a panel in the terminal, every value as text elsewhere; `name=value …` sets some anywhere. */
export function preferencesCommand(group: PreferenceGroup): Subcommand {
	const command: Subcommand = {
		name: group.name,
		usage: `${group.name} [name=value …]`,
		summary: group.summary,
		complete: (_deps, before, typed) => {
			// A value that is whole though a longer one begins like it, such as 1 and 10.
			if ("value" in wishIn(typed, group)) return [];
			const given = new Set(before.map((word) => nameIn(word).toLowerCase()));
			return group.preferences
				.filter(({ name }) => !given.has(name.toLowerCase()))
				.flatMap(({ name, choices, summary }) =>
					choices.map((choice) => ({ value: `${name}=${choice}`, label: `${name}=${choice}`, description: summary })),
				);
		},
		run: async (words, ctx, deps) => {
			if (words.length === 0) {
				const seen = modeOf(ctx) === "tui" ? await showPanel(group, ctx, deps) : undefined;
				return seen ? { text: "", json: asJson(group, deps, []) } : shown(group, deps, []);
			}
			const wishes = words.map((word) => wishIn(word, group));
			const good = wishes.filter((wish) => "value" in wish);
			const problems = wishes.flatMap((wish) => ("problem" in wish ? [wish.problem] : []));
			if (good.length === 0) return { failure: `${problems.join(" ")} ${misused(command).failure}` };
			await deps.settings.set(Object.fromEntries(good.map(({ preference, value }) => [preference.key, value])));
			deps.pool.emit({ type: "changed" });
			return shown(group, deps, problems);
		},
	};
	return command;
}

type Wish = { readonly preference: Choosable; readonly value: StoredValue } | { readonly problem: string };

/** `name=value` as it would be stored. */
function wishIn(word: string, { preferences }: PreferenceGroup): Wish {
	const name = nameIn(word);
	const preference = preferences.find((each) => each.name.toLowerCase() === name.toLowerCase());
	if (!preference) return { problem: `There is no "${name}".` };
	const value = storedFrom(word.slice(name.length + 1));
	if (preference.accepts(value)) return { preference, value };
	return { problem: `${preference.name} must be ${preference.wanted}, and stays as it is.` };
}

function nameIn(word: string): string {
	return word.split("=", 1)[0] ?? "";
}

/** What is typed or chosen, as JSON would have it. */
function storedFrom(text: string): StoredValue {
	if (/^\d{1,9}$/.test(text)) return Number(text);
	return text === "true" || text === "false" ? text === "true" : text;
}

function shown(group: PreferenceGroup, deps: SubcommandDeps, problems: readonly string[]): Outcome {
	const now = deps.settings.read();
	const lines = aligned(group.preferences.map(({ name, summary, stored }) => [name, String(stored(now)), summary]));
	return { text: [...problems, ...lines].join("\n"), json: asJson(group, deps, problems) };
}

function asJson({ name, preferences }: PreferenceGroup, { settings }: SubcommandDeps, problems: readonly string[]) {
	const now = settings.read();
	const values = Object.fromEntries(preferences.map((each) => [each.name, each.stored(now)]));
	return { [name]: values, problems };
}

/** Resolves when the person closes it, or when the session ends; undefined where this pi shows no panels. */
function showPanel(
	group: PreferenceGroup,
	ctx: ExtensionCommandContext,
	deps: SubcommandDeps,
): Promise<"closed" | undefined> {
	const { settings, pool, signal } = deps;
	return openPanel(ctx, { signal, ended: "closed" }, ({ paint, isKey, pace, wholeRoom, repaint, close, onClose }) => {
		onClose(pool.subscribe(repaint));
		return createPreferencesPanel({
			title: group.title,
			theme: getSettingsListTheme(),
			room: wholeRoom(),
			paint,
			rows: group.preferences.map(({ name, summary, choices }) => ({ name, summary, choices })),
			valueNow: (name) => {
				const preference = group.preferences.find((each) => each.name === name);
				return preference ? String(preference.stored(settings.read())) : "";
			},
			save: async (name, value) => {
				const wish = wishIn(`${name}=${value}`, group);
				if ("problem" in wish) return wish.problem;
				try {
					await settings.set({ [wish.preference.key]: wish.value });
				} catch (error) {
					tellUnexpected(error, pool);
					return `Not saved: ${reasonOf(error)}.`;
				}
				pool.emit({ type: "changed" });
				return undefined;
			},
			preview: (width) => group.preview(ctx, deps, width, paint),
			close: () => close("closed"),
			isKey,
			pace,
			repaint,
		});
	});
}
