import type { ExtensionAPI, ExtensionCommandContext } from "@mariozechner/pi-coding-agent";

type Handler = (event: unknown, ctx: ExtensionCommandContext) => unknown;

/** pi as an extension sees it: what was registered, and what was said. */
export interface FakePi {
	readonly api: ExtensionAPI;
	/** Calls of the provider registry, in order; a registration with its configuration. */
	readonly registrations: { readonly call: "register" | "unregister"; readonly config?: Record<string, unknown> }[];
	readonly commands: Map<string, FakeCommand>;
	readonly entries: { readonly type: string; readonly data: unknown }[];
	fire(event: string, ctx: ExtensionCommandContext): Promise<void>;
}

export interface FakeCommand {
	getArgumentCompletions(typed: string): { value: string; label: string; description?: string }[] | null;
	handler(args: string, ctx: ExtensionCommandContext): Promise<void>;
}

export function aPi(): FakePi {
	const handlers = new Map<string, Handler[]>();
	const fake: Omit<FakePi, "api"> = {
		registrations: [],
		commands: new Map(),
		entries: [],
		fire: async (event, ctx) => {
			for (const handler of handlers.get(event) ?? []) await handler({ type: event }, ctx);
		},
	};
	const api = {
		on: (event: string, handler: Handler) => handlers.set(event, [...(handlers.get(event) ?? []), handler]),
		registerProvider: (_name: string, config: Record<string, unknown>) =>
			fake.registrations.push({ call: "register", config }),
		unregisterProvider: () => fake.registrations.push({ call: "unregister" }),
		registerCommand: (name: string, command: FakeCommand) => fake.commands.set(name, command),
		appendEntry: (type: string, data: unknown) => fake.entries.push({ type, data }),
	};
	// Only what this extension uses of pi's large interface.
	return { ...fake, api: api as unknown as ExtensionAPI };
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
	model: { provider: string; baseUrl: string } | undefined;
	/** What the person answers: to a choice, and to a question. */
	choice: string | undefined;
	consent: boolean;
	/** Makes the context throw, as one does whose session was replaced. */
	isStale: boolean;
}

export interface FakeContextInit {
	readonly hasUI?: boolean;
	/** Left out as on 0.73.1. */
	readonly mode?: "tui" | "rpc" | "print" | "json";
	readonly sessionId?: string;
	readonly branch?: readonly unknown[];
}

export function aContext({ hasUI = true, mode, sessionId = "s", branch = [] }: FakeContextInit = {}): FakeContext {
	const fake: Omit<FakeContext, "ctx"> = {
		notices: [],
		statuses: [],
		questions: [],
		model: { provider: "openai-codex", baseUrl: "http://127.0.0.1:1/backend-api" },
		choice: undefined,
		consent: true,
		isStale: false,
	};
	const ui = {
		notify: (text: string, level: string) => fake.notices.push(`${level}: ${text}`),
		setStatus: (_key: string, text: string | undefined) => fake.statuses.push(text),
		theme: { fg: (tone: string, text: string) => `<${tone}>${text}` },
		select: async (title: string) => {
			fake.questions.push(title);
			return fake.choice;
		},
		confirm: async (title: string) => {
			fake.questions.push(title);
			return fake.consent;
		},
	};
	const context = {
		hasUI,
		...(mode && { mode }),
		get ui() {
			if (fake.isStale) throw new Error("This extension ctx is stale");
			return ui;
		},
		get model() {
			return fake.model;
		},
		sessionManager: { getSessionId: () => sessionId, getBranch: () => branch },
	};
	return Object.assign(fake, { ctx: context as unknown as ExtensionCommandContext });
}
