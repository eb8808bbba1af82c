import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { getSettingsListTheme } from "@mariozechner/pi-coding-agent";
import { tellUnexpected } from "../../core/defect-reports.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { SettingsStore } from "../../core/ports.ts";
import { DEFAULT_SETTINGS, type Settings, type StoredValue } from "../../core/settings.ts";
import {
	type CommandContext,
	type Outcome,
	parseOptions,
	reasonOf,
	type Subcommand,
	usageError,
} from "../../pi/command.ts";
import { columnsNow, modeOf } from "../../pi/output.ts";
import { openPanel } from "../../pi/panel.ts";
import type { Preference } from "../../platform/stores/settings-schema.ts";
import { alignColumns, hanging } from "../../ui-kit/format.ts";
import { comparable, nearest } from "../../ui-kit/nearest.ts";
import type { Paint } from "../../ui-kit/panel.ts";
import { createPreferencesPanel } from "./panel.ts";
import { badValue, noSuchSetting } from "./texts.ts";

/** A preference of any group, as part of all settings. */
interface Choosable {
	/** Its name as typed and shown. */
	readonly name: string;
	/** Its full key in the file. */
	readonly key: string;
	readonly summary: string;
	readonly wanted: string;
	readonly choices: readonly string[];
	/** Returns the value as stored, however it was written; undefined if it is invalid. */
	asStored(value: StoredValue): StoredValue | undefined;
	/** Returns the value as stored. */
	stored(settings: Settings): StoredValue;
}

/** A group as shown by its subcommand. */
export interface PreferenceGroup {
	/** The subcommand, and the group's name in a result. */
	readonly name: string;
	readonly summary: string;
	/** The heading of its panel. */
	readonly title: string;
	readonly preferences: readonly Choosable[];
	/** Shows what the settings mean now, in lines of at most `width`; plain or painted. */
	preview(host: ExtensionCommandContext, width: number, paint: Paint): readonly string[];
	/** Further words of its subcommand, for the usage line. */
	readonly words?: readonly string[];
	/** Whole sentences below the values, when they are shown as text. */
	readonly notes?: () => readonly string[];
	/** Further fields in the document of the values. */
	readonly facts?: () => Readonly<Record<string, unknown>>;
}

/** Returns the preferences of the group stored under `name` in the settings. */
export function preferencesOf<G extends "rotation" | "beyond" | "footer" | "notify">(
	name: G,
	preferences: readonly Preference<Settings[G]>[],
): Choosable[] {
	return preferences.map(({ key, read, stored, ...texts }) => ({
		...texts,
		name: key,
		key: `${name}.${key}`,
		asStored: (value) => {
			const next = read(value, DEFAULT_SETTINGS[name]);
			return next && stored(next);
		},
		stored: (settings) => stored(settings[name]),
	}));
}

/** Returns the given preferences, which belong to no group. */
export function generalPreferences(
	preferences: readonly Preference<Settings>[],
	names: readonly string[],
): Choosable[] {
	return preferences
		.filter(({ key }) => names.includes(key))
		.map(({ key, read, ...shared }) => ({
			...shared,
			name: key,
			key,
			asStored: (value) => {
				const next = read(value, DEFAULT_SETTINGS);
				return next && shared.stored(next);
			},
		}));
}

/** What a command for preferences uses. */
export interface PreferencePorts {
	readonly settings: SettingsStore;
	readonly pool: Pick<Pool, "emit" | "subscribe">;
}

/** The arguments of a group's subcommand. */
export interface PreferenceArgs {
	/** What to set. If empty, the values are shown. */
	readonly wishes: readonly Wish[];
}

/** Stands for the default of a preference, or by itself for every default of the group. */
const DEFAULT = "default";

/**
 * Creates the subcommand of a group: a panel in the terminal, every value as text elsewhere. `name=value …` sets some
 * in any mode, and `default` resets all of them.
 */
export function createPreferencesCommand(group: PreferenceGroup, ports: PreferencePorts): Subcommand<PreferenceArgs> {
	const { settings, pool } = ports;
	const usage = `${group.name} [${["name=value …", DEFAULT, ...(group.words ?? [])].join("|")}]`;
	return {
		name: group.name,
		usage,
		summary: group.summary,
		complete: (before, typed) => {
			// A value may be complete although a longer one starts with it, such as 1 and 10; or it may consist of two words,
			// such as 45 min.
			const words = typed === "" ? [] : [typed, `${before.at(-1) ?? ""} ${typed}`];
			if (words.some((word) => "value" in wishIn(word, group))) return [];
			const given = new Set(before.map((word) => nameIn(word).toLowerCase()));
			if (given.has(DEFAULT)) return [];
			const now = settings.read();
			const changed = group.preferences.filter((preference) => !isDefault(preference, now));
			const backs = new Set(changed.map(({ name }) => name));
			const toDefault = { value: DEFAULT, label: DEFAULT, description: "every value at its default" };
			const values = group.preferences
				.filter(({ name }) => !given.has(name.toLowerCase()))
				.flatMap(({ name, choices, summary }) =>
					[...choices, ...(backs.has(name) ? [DEFAULT] : [])].map((choice) => ({
						value: `${name}=${choice}`,
						label: `${name}=${choice}`,
						description: summary,
					})),
				);
			return before.length === 0 && changed.length > 0 ? [...values, toDefault] : values;
		},
		parse: (words) => {
			const given = parseOptions(words, [], usage);
			return "failure" in given ? given : { wishes: joined(words).flatMap((word) => wishesIn(word, group)) };
		},
		run: async ({ wishes }, ctx) => {
			if (wishes.length === 0) {
				const seen = modeOf(ctx.host) === "tui" ? await showPanel(group, ctx, ports) : undefined;
				return seen ? { text: "", json: asJson(group, ports, []) } : shown(group, ports, []);
			}
			const good = wishes.filter((wish) => "value" in wish);
			const problems = wishes.flatMap((wish) => ("problem" in wish ? [wish.problem] : []));
			if (good.length === 0) return usageError(usage, problems.join(" "));
			const before = settings.read();
			await settings.set(Object.fromEntries(good.map(({ preference, value }) => [preference.key, value])));
			pool.emit({ type: "changed" });
			return shown(group, ports, problems, before);
		},
	};
}

type Wish = { readonly preference: Choosable; readonly value: StoredValue } | { readonly problem: string };

/** `maxWait=45 min` is one wish: a word without `=` belongs to the value before it. */
function joined(words: readonly string[]): string[] {
	const wishes: string[] = [];
	for (const word of words) {
		const last = wishes.at(-1);
		const isRest = last?.includes("=") && !word.includes("=") && word.toLowerCase() !== DEFAULT;
		if (isRest) wishes.splice(-1, 1, `${last} ${word}`);
		else wishes.push(word);
	}
	return wishes;
}

/** Returns what one word asks for. `default` by itself asks for every default. */
function wishesIn(word: string, group: PreferenceGroup): Wish[] {
	if (word.toLowerCase() !== DEFAULT) return [wishIn(word, group)];
	return group.preferences.map((preference) => ({ preference, value: preference.stored(DEFAULT_SETTINGS) }));
}

/** Reads `name=value` as it would be stored. */
function wishIn(word: string, { preferences }: PreferenceGroup): Wish {
	const name = nameIn(word);
	const preference = preferences.find((each) => each.name.toLowerCase() === name.toLowerCase());
	if (!preference) {
		const names = preferences.map((each) => each.name);
		return { problem: noSuchSetting(name, nearest(name, names), names) };
	}
	const typed = word.slice(name.length + 1).trim();
	if (typed.toLowerCase() === DEFAULT) return { preference, value: preference.stored(DEFAULT_SETTINGS) };
	const exact = preference.choices.find((choice) => comparable(choice) === comparable(typed));
	const value = preference.asStored(storedFrom(exact ?? typed));
	if (value !== undefined) return { preference, value };
	const meant = nearest(typed, [...preference.choices.filter((choice) => /^\p{L}/u.test(choice)), DEFAULT]);
	return { problem: badValue(preference.name, preference.wanted, meant) };
}

function nameIn(word: string): string {
	return word.split("=", 1)[0] ?? "";
}

/** Converts what was typed or chosen to JSON's types. */
function storedFrom(text: string): StoredValue {
	if (/^\d{1,9}$/.test(text)) return Number(text);
	return text === "true" || text === "false" ? text === "true" : text;
}

function isDefault({ stored }: Choosable, settings: Settings): boolean {
	return stored(settings) === stored(DEFAULT_SETTINGS);
}

/**
 * Shows every value and marks what differs from the default. `before`: the settings before a change by this command.
 */
function shown(
	group: PreferenceGroup,
	ports: PreferencePorts,
	problems: readonly string[],
	before?: Settings,
): Outcome {
	const now = ports.settings.read();
	const rows = group.preferences.map((preference) => {
		const { name, summary, stored } = preference;
		const was = before && stored(before) !== stored(now) ? [`was ${stored(before)}`] : [];
		const usual = isDefault(preference, now) ? [] : [`default ${stored(DEFAULT_SETTINGS)}`];
		const marks = [...was, ...usual].join(", ");
		return [name, String(stored(now)), marks === "" ? summary : `${summary} (${marks})`];
	});
	// A pipe has no width.
	const columns = process.stdout.columns === undefined ? Number.POSITIVE_INFINITY : columnsNow();
	const heads = alignColumns(rows.map(([name = "", value = ""]) => [name, value]));
	const widest = Math.max(...heads.map((head) => head.length));
	const lines = rows.flatMap(([, , summary = ""], at) => {
		return hanging(`${(heads[at] ?? "").padEnd(widest)}  `, summary, columns);
	});
	const notes = (group.notes?.() ?? []).flatMap((note) => hanging("", note, columns));
	return { text: [...problems, ...lines, ...notes].join("\n"), json: asJson(group, ports, problems) };
}

function asJson(
	{ name, preferences, facts }: PreferenceGroup,
	{ settings }: PreferencePorts,
	problems: readonly string[],
) {
	const now = settings.read();
	const values = Object.fromEntries(preferences.map((each) => [each.name, each.stored(now)]));
	return { [name]: values, ...facts?.(), problems };
}

/** Resolves when the person closes it or the session ends; undefined if this pi cannot show a panel. */
function showPanel(
	group: PreferenceGroup,
	ctx: CommandContext,
	{ settings, pool }: PreferencePorts,
): Promise<"closed" | undefined> {
	return openPanel(ctx, { ended: "closed" }, (panel) => {
		const { paint, highlight, isKey, pace, wholeRoom, repaint, close, onClose } = panel;
		onClose(pool.subscribe(repaint));
		return createPreferencesPanel({
			title: group.title,
			theme: getSettingsListTheme(),
			room: wholeRoom(),
			paint,
			highlight,
			rows: group.preferences.map(({ name, summary, choices, stored }) => {
				return { name, summary, choices, usual: String(stored(DEFAULT_SETTINGS)) };
			}),
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
					tellUnexpected(error, pool.emit);
					return `Not saved: ${reasonOf(error)}.`;
				}
				pool.emit({ type: "changed" });
				return undefined;
			},
			preview: (width) => group.preview(ctx.host, width, paint),
			close: () => close("closed"),
			isKey,
			pace,
			repaint,
		});
	});
}
