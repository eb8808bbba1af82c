import { wrapTextWithAnsi } from "@mariozechner/pi-tui";
import type { Completion, Failure, Subcommand } from "../../pi/command.ts";
import { usageError } from "../../pi/command.ts";
import { commandIn, NOTIFY_PREFERENCES } from "../../platform/stores/settings-schema.ts";
import {
	createPreferencesCommand,
	type PreferenceArgs,
	type PreferenceGroup,
	type PreferencePorts,
	preferencesOf,
} from "./command.ts";

interface Ports extends PreferencePorts {
	readonly notices: {
		/** Says what the settings mean here, in whole sentences. */
		describe(): readonly string[];
		/** Sends a notice now, and returns how that went. */
		tryOut(): Promise<{ readonly text: string; readonly isFailing: boolean }>;
	};
}

/** Words of this group besides its values. */
const TEST = "test";
const COMMAND = "command";

type Args =
	| { readonly kind: "values"; readonly values: PreferenceArgs }
	| { readonly kind: "test" }
	| { readonly kind: "command"; readonly argv: readonly string[] };

/**
 * `/multicodex notify`: when a person is warned, and where notices go. A panel, or `name=value …`; `command` sets the
 * program that gets them, and `test` sends one.
 */
export function createNotify(ports: Ports): Subcommand<Args> {
	const { settings, pool, notices } = ports;
	const group: PreferenceGroup = {
		name: "notify",
		summary: "warnings, and notices while pi is out of sight: show or set",
		title: "Warnings, and notices while pi is out of sight (saved at each change)",
		preferences: preferencesOf("notify", NOTIFY_PREFERENCES),
		words: [TEST, `${COMMAND} <program> …`],
		notes: notices.describe,
		// Arguments may contain anything.
		facts: () => ({ command: settings.read().notify.command.length > 0 }),
		preview: (_host, width, paint) =>
			notices
				.describe()
				.flatMap((note) => wrapTextWithAnsi(paint("text", note), Math.max(1, width - 1)).map((line) => ` ${line}`)),
	};
	const values = createPreferencesCommand(group, ports);

	/** Everything after the word is the command, unchanged. */
	const commandFrom = (argv: readonly string[]): Args | Failure => {
		if (argv.length === 0 || !commandIn(argv)) return usageError(`${group.name} ${COMMAND} <program> [argument …]`);
		return { kind: "command", argv };
	};
	return {
		name: values.name,
		usage: values.usage,
		summary: values.summary,
		complete: (before, typed) => {
			if (before[0] === TEST || before[0] === COMMAND) return [];
			const choices = values.complete?.(before, typed) ?? [];
			return before.length > 0 || choices.length === 0 ? choices : [...choices, ...WORDS];
		},
		parse: (words) => {
			const [word = "", ...more] = words;
			if (more.length === 0 && word.toLowerCase() === TEST) return { kind: "test" };
			if (word.toLowerCase() === COMMAND) return commandFrom(more);
			const given = values.parse(words);
			return "failure" in given ? given : { kind: "values", values: given };
		},
		run: async (args, ctx) => {
			if (args.kind === "values") return values.run(args.values, ctx);
			if (args.kind === "test") {
				const { text, isFailing } = await notices.tryOut();
				return { text, json: { text }, isFailing };
			}
			await settings.set({ "notify.command": args.argv, "notify.to": "command" });
			pool.emit({ type: "changed" });
			const text = notices.describe().join("\n");
			return { text, json: { notify: { to: "command" } } };
		},
	};
}

const WORDS: readonly Completion[] = [
	{ value: TEST, label: TEST, description: "send a notice now" },
	{ value: COMMAND, label: COMMAND, description: "the program that gets notices, and its arguments" },
];
