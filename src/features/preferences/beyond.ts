import { wrapTextWithAnsi } from "@mariozechner/pi-tui";
import type { Rung } from "../../core/beyond/ladder.ts";
import type { Subcommand } from "../../pi/command.ts";
import type { PoolModel } from "../../pi/pool-model.ts";
import { BEYOND_PREFERENCES } from "../../platform/stores/settings-schema.ts";
import { agreedToday, askedAgain, FORGET, nothingRemembered, whatComesNext } from "./beyond-texts.ts";
import {
	createPreferencesCommand,
	type PreferenceArgs,
	type PreferenceGroup,
	type PreferencePorts,
	preferencesOf,
} from "./command.ts";

interface Ports extends PreferencePorts {
	readonly poolModel: Pick<PoolModel, "isAvailable">;
	/** What the person has agreed to for the rest of the day. */
	readonly forToday: {
		list(): readonly { readonly kind: Rung["kind"]; readonly until: number }[];
		forget(): Promise<void>;
	};
}

type Args = { readonly isForgetting: true } | ({ readonly isForgetting: false } & PreferenceArgs);

/**
 * `/multicodex beyond`: what may serve when all quota is out. A panel, or `name=value …`; `forget` ends consents for
 * today.
 */
export function createBeyond(ports: Ports): Subcommand<Args> {
	const { settings, forToday, pool, poolModel } = ports;
	const notes = () => [
		whatComesNext(settings.read(), poolModel.isAvailable),
		...agreedToday(forToday.list().map(({ kind }) => kind)),
	];
	const group: PreferenceGroup = {
		name: "beyond",
		summary: "what may serve when all quota is out: show or set",
		title: "What may serve when all quota is out (saved at each change)",
		preferences: preferencesOf("beyond", BEYOND_PREFERENCES),
		words: [FORGET],
		notes,
		facts: () => ({
			today: forToday.list().map(({ kind, until }) => ({ kind, until: new Date(until).toISOString() })),
		}),
		preview: (_host, width, paint) =>
			notes().flatMap((note) =>
				wrapTextWithAnsi(paint("text", note), Math.max(1, width - 1)).map((line) => ` ${line}`),
			),
	};
	const values = createPreferencesCommand(group, ports);
	return {
		name: values.name,
		usage: values.usage,
		summary: values.summary,
		complete: (before, typed) => {
			const choices = values.complete?.(before, typed) ?? [];
			if (before.length > 0 || forToday.list().length === 0) return choices;
			return [...choices, { value: FORGET, label: FORGET, description: "ask again from now on" }];
		},
		parse: (words) => {
			const [word = "", ...more] = words;
			if (more.length === 0 && word.toLowerCase() === FORGET) return { isForgetting: true };
			const given = values.parse(words);
			return "failure" in given ? given : { ...given, isForgetting: false };
		},
		run: async (args, ctx) => {
			if (!args.isForgetting) return values.run(args, ctx);
			const ended = forToday.list();
			await forToday.forget();
			if (ended.length > 0) pool.emit({ type: "setting", name: "beyond.today", value: "none" });
			const text = ended.length > 0 ? askedAgain(ended.map(({ kind }) => kind)) : nothingRemembered();
			return { text, json: { forgotten: ended.map(({ kind }) => kind) } };
		},
	};
}
