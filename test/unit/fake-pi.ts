import { stripVTControlCharacters } from "node:util";
import type { ExtensionAPI, ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import type { Component } from "@mariozechner/pi-tui";
import { onTestFinished } from "vitest";
import type { VirtualModels } from "../../src/pi/virtual-models.ts";

/** What dialogs are given beside their words. */
interface Dialog {
	readonly signal?: AbortSignal;
}

type Handler = (event: unknown, ctx: ExtensionCommandContext) => unknown;

/** pi as an extension sees it: what was registered, and what was said. */
export interface FakePi {
	readonly api: ExtensionAPI;
	/** Calls of the provider registry, in order; a registration with its configuration. */
	readonly registrations: { readonly call: "register" | "unregister"; readonly config?: Record<string, unknown> }[];
	readonly commands: Map<string, FakeCommand>;
	readonly entries: { readonly type: string; readonly data: unknown }[];
	/** Models that were chosen for the session. */
	readonly models: unknown[];
	/** Virtual models that are registered, by provider and id; on a host that has none this stays empty. */
	readonly virtual: Map<string, VirtualDefinition>;
	/** What `pi.events.emit` does. */
	bus: (channel: string, payload: unknown) => void;
	/** What the last handler answers. `data` is what the event has beside its type. */
	fire(event: string, ctx: ExtensionCommandContext, data?: Record<string, unknown>): Promise<unknown>;
}

/** A virtual model, as it was registered. */
export type VirtualDefinition = Parameters<VirtualModels["registerVirtualModel"]>[0];

export interface FakeCommand {
	getArgumentCompletions(typed: string): Promise<{ value: string; label: string; description?: string }[] | null>;
	handler(args: string, ctx: ExtensionCommandContext): Promise<void>;
}

/** Does `work` when the test is over; nothing in the processes of the chaos, which are no tests. */
function atTestEnd(work: () => void | Promise<void>): void {
	if (process.env.VITEST !== undefined) onTestFinished(work);
}

/** `hasVirtualModels`: as hosts from 0.99 on. */
export function aPi({ hasVirtualModels = false } = {}): FakePi {
	const handlers = new Map<string, Handler[]>();
	const fake: Omit<FakePi, "api"> = {
		registrations: [],
		commands: new Map(),
		entries: [],
		models: [],
		virtual: new Map(),
		bus: () => undefined,
		fire: async (event, ctx, data = {}) => {
			let answer: unknown;
			for (const handler of handlers.get(event) ?? []) answer = await handler({ type: event, text: "", ...data }, ctx);
			return answer;
		},
	};
	const api = {
		on: (event: string, handler: Handler) => handlers.set(event, [...(handlers.get(event) ?? []), handler]),
		registerProvider: (_name: string, config: Record<string, unknown>) =>
			fake.registrations.push({ call: "register", config }),
		unregisterProvider: () => fake.registrations.push({ call: "unregister" }),
		registerCommand: (name: string, command: FakeCommand) =>
			fake.commands.set(name, {
				...command,
				handler: (args, ctx) => {
					// A command that still waits would hold up every panel of later tests.
					atTestEnd(async () => {
						await fake.fire("session_shutdown", ctx);
					});
					return command.handler(args, ctx);
				},
			}),
		events: { emit: (channel: string, payload: unknown) => fake.bus(channel, payload) },
		appendEntry: (type: string, data: unknown) => fake.entries.push({ type, data }),
		setModel: async (model: unknown) => {
			fake.models.push(model);
			return true;
		},
		...(hasVirtualModels && {
			registerVirtualModel: (model: VirtualDefinition) => fake.virtual.set(`${model.provider}/${model.id}`, model),
			unregisterVirtualModel: (provider: string, id: string) => fake.virtual.delete(`${provider}/${id}`),
		}),
	};
	// Only what this extension uses of pi's large interface.
	return Object.assign(fake, { api: api as unknown as ExtensionAPI });
}

/** pi's own key bindings, as far as panels ask for them. */
const KEYS: Readonly<Record<string, string>> = {
	"tui.select.up": "\x1b[A",
	"tui.select.down": "\x1b[B",
	"tui.select.pageUp": "\x1b[5~",
	"tui.select.pageDown": "\x1b[6~",
	"tui.select.confirm": "\r",
	"tui.select.cancel": "\x1b",
};

/** A model, as far as this extension looks at it. */
export interface FakeModel {
	readonly provider: string;
	readonly id?: string;
	readonly baseUrl?: string;
	readonly api?: string;
	readonly name?: string;
	readonly cost?: { readonly input: number; readonly output: number };
}

/** A session's context, and what was shown in it. */
export interface FakeContext {
	readonly ctx: ExtensionCommandContext;
	/** `<level>: <text>`. */
	readonly notices: string[];
	/** Every status that was set; undefined clears it. */
	readonly statuses: (string | undefined)[];
	/** Questions that were asked. */
	readonly questions: string[];
	/** What stood below each question, or was offered with it. */
	readonly details: string[];
	model: FakeModel | undefined;
	/** Models that the session could use. */
	models: readonly FakeModel[];
	/** Providers of them without sign-in and key, and those with a sign-in in place of a key. */
	readonly unsigned: Set<string>;
	readonly subscribed: Set<string>;
	/** What the person answers: to a choice, to a question, and to one for text. */
	choice: string | undefined;
	consent: boolean;
	input: string | undefined;
	/** Choices from a list that may be given one after the other, before `choice`. */
	readonly choices: string[];
	/** Runs when a panel asks something. */
	onQuestion: () => void;
	/** No answer comes: a question stands until it is taken away. */
	isAway: boolean;
	/** What has taken the editor's place. */
	panel: Component | undefined;
	/** What was put into the editor. */
	readonly pasted: string[];
	/** Who hears of a key before whatever is on the screen. */
	readonly listeners: ((typed: string) => { readonly consume?: boolean } | undefined)[];
	/** How often a panel asked to be drawn anew. */
	repaints: number;
	/** Makes the context throw, as one does whose session was replaced. */
	isStale: boolean;
	/** False while the model answers. */
	isIdle: boolean;
}

export interface FakeContextInit {
	readonly hasUI?: boolean;
	/** Left out as on 0.73.1. */
	readonly mode?: "tui" | "rpc" | "print" | "json";
	/** False as in a mode that answers for panels, and shows none. */
	readonly hasPanels?: boolean;
	readonly sessionId?: string;
	/** The folder in which the session runs. */
	readonly cwd?: string;
	readonly branch?: readonly unknown[];
}

export function aContext(init: FakeContextInit = {}): FakeContext {
	const { hasUI = true, mode, hasPanels = true, sessionId = "s", cwd = "/", branch = [] } = init;
	const fake: Omit<FakeContext, "ctx"> = {
		notices: [],
		statuses: [],
		questions: [],
		details: [],
		model: { provider: "openai-codex", baseUrl: "http://127.0.0.1:1/backend-api" },
		models: [],
		unsigned: new Set(),
		subscribed: new Set(),
		choice: undefined,
		choices: [],
		consent: true,
		input: undefined,
		onQuestion: () => undefined,
		isAway: false,
		panel: undefined,
		pasted: [],
		listeners: [],
		repaints: 0,
		isStale: false,
		isIdle: true,
	};
	const asked = async <T>(answer: T, title: string, detail: string, signal?: AbortSignal): Promise<T | undefined> => {
		fake.questions.push(title);
		fake.details.push(detail);
		if (!fake.isAway) return answer;
		await new Promise((resolve) => {
			if (signal?.aborted) resolve(undefined);
			else signal?.addEventListener("abort", resolve, { once: true });
		});
		return undefined;
	};
	/** A panel that asks is answered as its dialog would be: the person reads it, and presses keys. */
	const answer = (panel: Component) => {
		const lines = panel.render(300).map((line) => stripVTControlCharacters(line).replaceAll(/<\w+>/g, "").trim());
		const [title = ""] = lines.slice(1);
		const isField = lines.some((line) => /^enter (save|join)/.test(line));
		const isQuestion = lines.some((line) => /enter answer|esc (import|share) nothing/.test(line));
		if (!isField && !isQuestion) return;
		fake.questions.push(title);
		fake.details.push(lines.slice(2).join(" ").trim());
		fake.onQuestion();
		if (fake.isAway) return;
		const highlighted = lines.find((line) => line.startsWith("█")) ?? "";
		const isHarmless = /^█ +(Keep.*|No, .*|Stay|Change nothing)$/.test(highlighted);
		const keys = isHarmless === fake.consent ? ["\x1b[B", "\r"] : ["\r"];
		const typed = fake.input === undefined ? ["\x1b"] : ["\x15", `\x1b[200~${fake.input}\x1b[201~`, "\r"];
		const pressNext = ([key, ...rest]: readonly string[]) => {
			if (key === undefined) return;
			panel.handleInput?.(key);
			setTimeout(() => pressNext(rest), 30);
		};
		setTimeout(() => pressNext(isField ? typed : keys), 0);
	};
	const ui = {
		notify: (text: string, level: string) => fake.notices.push(`${level}: ${text}`),
		pasteToEditor: (text: string) => fake.pasted.push(text),
		setStatus: (_key: string, text: string | undefined) => fake.statuses.push(text),
		onTerminalInput: (handler: FakeContext["listeners"][number]) => {
			fake.listeners.push(handler);
			return () => void fake.listeners.splice(fake.listeners.indexOf(handler), 1);
		},
		theme: { fg: (tone: string, text: string) => `<${tone}>${text}`, bg: (_tone: string, text: string) => text },
		select: (title: string, options: readonly string[], { signal }: Dialog = {}) =>
			asked(fake.choices.shift() ?? fake.choice, title, options.join(", "), signal),
		confirm: async (title: string, message: string, { signal }: Dialog = {}) =>
			(await asked(fake.consent, title, message, signal)) ?? false,
		input: (title: string, placeholder: string, { signal }: Dialog = {}) =>
			asked(fake.input, title, placeholder, signal),
		custom: <T>(create: (tui: unknown, theme: unknown, keys: unknown, done: (result: T) => void) => Component) =>
			new Promise<T | undefined>((resolve) => {
				if (!hasPanels) return resolve(undefined);
				// Panels wait for each other in the whole process: one that a test leaves open would hold up later tests.
				atTestEnd(() => resolve(undefined));
				const keys = { matches: (typed: string, name: string) => KEYS[name] === typed };
				const requestRender = () => {
					fake.repaints += 1;
				};
				const tui = { requestRender, terminal: { rows: 40 } };
				const panel = create(tui, ui.theme, keys, (result) => {
					fake.panel = undefined;
					resolve(result);
				});
				fake.panel = panel;
				answer(panel);
			}),
	};
	const context = {
		hasUI,
		isIdle: () => fake.isIdle,
		...(mode && { mode }),
		get ui() {
			if (fake.isStale) throw new Error("This extension ctx is stale");
			return ui;
		},
		get model() {
			return fake.model;
		},
		modelRegistry: {
			refresh: () => undefined,
			getAll: () => fake.models,
			getAvailable: () => fake.models.filter(({ provider }) => !fake.unsigned.has(provider)),
			find: (provider: string, id: string) =>
				fake.models.find((model) => model.provider === provider && model.id === id),
			hasConfiguredAuth: ({ provider }: FakeModel) => !fake.unsigned.has(provider),
			isUsingOAuth: ({ provider }: FakeModel) => fake.subscribed.has(provider),
		},
		cwd,
		sessionManager: { getSessionId: () => sessionId, getBranch: () => branch },
	};
	return Object.assign(fake, { ctx: context as unknown as ExtensionCommandContext });
}
