import { z } from "zod";
import type { PiProcess, PipedProcess, PiResult } from "./child.ts";
import type { HostName } from "./hosts.ts";
import { outputTail } from "./launch.ts";

/** Any line of pi's JSON output. */
export const jsonEventSchema = z.looseObject({ type: z.string() });

/** One line of pi's JSON output. */
export type JsonEvent = z.infer<typeof jsonEventSchema>;

/** An event with the time at which its line arrived here. */
export type RpcEvent = JsonEvent & { readonly receivedAt: number };

const responseSchema = z.looseObject({
	id: z.string().optional(),
	command: z.string(),
	success: z.boolean(),
	error: z.string().optional(),
	data: z.unknown().optional(),
});

const uiRequestSchema = z.discriminatedUnion("method", [
	z.object({ method: z.literal("notify"), message: z.string(), notifyType: z.string().optional() }),
	z.object({ method: z.literal("setStatus"), statusKey: z.string(), statusText: z.string().optional() }),
	z.object({
		method: z.literal("setWidget"),
		widgetKey: z.string(),
		widgetLines: z.array(z.string()).optional(),
	}),
	z.looseObject({
		method: z.enum(["select", "confirm", "input", "editor"]),
		id: z.string(),
		title: z.string(),
		message: z.string().optional(),
		options: z.array(z.string()).optional(),
		placeholder: z.string().optional(),
		prefill: z.string().optional(),
	}),
]);

const assistantMessageSchema = z.looseObject({
	role: z.literal("assistant"),
	content: z.array(z.looseObject({ type: z.string(), text: z.string().optional() })),
	stopReason: z.string().optional(),
	errorMessage: z.string().optional(),
});

const stateSchema = z.looseObject({
	isStreaming: z.boolean(),
	isCompacting: z.boolean(),
	pendingMessageCount: z.number(),
});

/** What an extension told the user through `ctx.ui.notify`. */
export interface Notification {
	readonly message: string;
	/** `info`, `warning`, `error`; undefined when the extension gave none. */
	readonly level: string | undefined;
	readonly receivedAt: number;
}

/** One `ctx.ui.setStatus`; an undefined text clears the key. */
export interface StatusChange {
	readonly key: string;
	readonly text: string | undefined;
	readonly receivedAt: number;
}

/** A question that waits for {@link Rpc.answer}. */
export interface Dialog {
	readonly id: string;
	readonly method: "select" | "confirm" | "input" | "editor";
	readonly title: string;
	readonly message: string | undefined;
	/** Choices of a `select`. */
	readonly options: readonly string[];
	readonly receivedAt: number;
}

/** A string answers `select`, `input` and `editor`, a boolean `confirm`, undefined cancels. */
export type DialogAnswer = string | boolean | undefined;

/** A prompt from its acceptance until nothing runs any more: every retry of pi's own is part of it. */
export interface Turn {
	/** Text of the last assistant message. */
	readonly text: string;
	/** Stop reason of the last assistant message; undefined when there was none. */
	readonly stopReason: string | undefined;
	readonly errorMessage: string | undefined;
	/** How often pi's own turn retry ran. */
	readonly retries: number;
	readonly events: readonly RpcEvent[];
}

/** Client of a `pi --mode rpc`. Every wait is bounded and rejects with what was seen so far. */
export interface Rpc {
	readonly process: PiProcess;
	/** Everything pi wrote except responses to commands, oldest first. */
	readonly events: readonly RpcEvent[];
	readonly notifications: readonly Notification[];
	/** Every status change, oldest first. */
	readonly statusChanges: readonly StatusChange[];
	/** Lines on standard output that were not JSON. */
	readonly strayLines: readonly string[];
	/** Current text of a status key. */
	status(key: string): string | undefined;
	/** Current lines of a widget. */
	widget(key: string): readonly string[] | undefined;
	/** Sends an RPC command; resolves with the response's `data`, rejects when pi refuses it. Default 60 s. */
	command(type: string, fields?: Readonly<Record<string, unknown>>, timeoutMs?: number): Promise<unknown>;
	/**
	 * Sends a prompt and resolves when pi has accepted it: for a model prompt before its turn starts, for a slash
	 * command after its handler has ended. Default 60 s.
	 */
	send(text: string, timeoutMs?: number): Promise<void>;
	/** Sends a model prompt and waits until it is settled. Not for slash commands, which have no turn. Default 100 s. */
	prompt(text: string, timeoutMs?: number): Promise<Turn>;
	/** Waits until the turn of the last `send` is over, with every retry and compaction. Default 100 s. */
	settled(timeoutMs?: number): Promise<Turn>;
	/** Waits for an event, past ones from index `from` (default 0) included. Default 60 s. */
	waitFor(predicate: (event: RpcEvent) => boolean, timeoutMs?: number, from?: number): Promise<RpcEvent>;
	/** Waits for a notification that contains a text or matches a pattern. Default 60 s. */
	waitForNotification(text: string | RegExp, timeoutMs?: number): Promise<Notification>;
	/** Waits for the oldest dialog that is still open, or the oldest of one kind. Default 60 s. */
	waitForDialog(timeoutMs?: number, method?: Dialog["method"]): Promise<Dialog>;
	answer(dialog: Dialog, answer: DialogAnswer): void;
	/** Answers every dialog that opens from now on. */
	answerDialogs(answerer: (dialog: Dialog) => DialogAnswer): void;
	/** Like Esc: resolves when pi says that nothing runs any more. Default 60 s. */
	abort(timeoutMs?: number): Promise<void>;
	/** Closes standard input, which ends pi; kills it when that takes longer, default 5 s. */
	close(patienceMs?: number): Promise<PiResult>;
}

/** Whether a turn without an `agent_settled` event may be over: the last thing that began has ended. */
function looksSettled(events: readonly JsonEvent[]): boolean {
	let settled = false;
	for (const event of events) {
		switch (event.type) {
			case "agent_start":
			case "auto_retry_start":
			case "compaction_start":
				settled = false;
				break;
			case "agent_end":
				settled = true;
				break;
			case "auto_retry_end":
				// A success is reported in mid-turn, with the first good message.
				if (event.success === false) settled = true;
				break;
			case "compaction_end":
				settled = event.willRetry !== true && events.some((earlier) => earlier.type === "agent_end");
				break;
		}
	}
	return settled;
}

function describeTurn(events: readonly RpcEvent[]): Turn {
	const messages = events.flatMap((event) => {
		if (event.type !== "message_end") return [];
		const message = assistantMessageSchema.safeParse(event.message);
		return message.success ? [message.data] : [];
	});
	const last = messages.at(-1);
	return {
		text: (last?.content ?? []).map((part) => (part.type === "text" ? (part.text ?? "") : "")).join(""),
		stopReason: last?.stopReason,
		errorMessage: last?.errorMessage,
		retries: events.filter((event) => event.type === "auto_retry_start").length,
		events,
	};
}

function parseJson(line: string): unknown {
	try {
		return JSON.parse(line);
	} catch {
		return undefined;
	}
}

/** Versions without the event `agent_settled`. */
const WITHOUT_SETTLED = /^0\.(7\d\.|80\.[0-3]$)/;

/** Speaks RPC with a child that was started with `--mode rpc`. */
export function connectRpc(hostName: HostName, child: PipedProcess): Rpc {
	const startedAt = Date.now();
	const events: RpcEvent[] = [];
	const notifications: Notification[] = [];
	const statusChanges: StatusChange[] = [];
	const strayLines: string[] = [];
	const statuses = new Map<string, string>();
	const widgets = new Map<string, readonly string[]>();
	const openDialogs = new Map<string, Dialog>();
	const responses = new Map<string, z.infer<typeof responseSchema>>();
	const onChange = new Set<() => void>();
	let answerer: ((dialog: Dialog) => DialogAnswer) | undefined;
	let end: PiResult | Error | undefined;
	let commandCount = 0;
	let turnStart = 0;

	const send = (message: Readonly<Record<string, unknown>>): void => child.write(`${JSON.stringify(message)}\n`);

	const answer = (dialog: Dialog, value: DialogAnswer): void => {
		if (!openDialogs.delete(dialog.id)) throw new Error(`the dialog "${dialog.title}" is not open`);
		const reply = { type: "extension_ui_response", id: dialog.id };
		if (value === undefined) send({ ...reply, cancelled: true });
		else if (typeof value === "boolean") send({ ...reply, confirmed: value });
		else send({ ...reply, value });
	};

	const noteUiRequest = (event: RpcEvent): void => {
		const parsed = uiRequestSchema.safeParse(event);
		if (!parsed.success) return;
		const request = parsed.data;
		const { receivedAt } = event;
		switch (request.method) {
			case "notify":
				notifications.push({ message: request.message, level: request.notifyType, receivedAt });
				return;
			case "setStatus":
				statusChanges.push({ key: request.statusKey, text: request.statusText, receivedAt });
				if (request.statusText === undefined) statuses.delete(request.statusKey);
				else statuses.set(request.statusKey, request.statusText);
				return;
			case "setWidget":
				if (request.widgetLines === undefined) widgets.delete(request.widgetKey);
				else widgets.set(request.widgetKey, request.widgetLines);
				return;
			default: {
				const { id, method, title, message, options = [] } = request;
				const dialog: Dialog = { id, method, title, message, options, receivedAt };
				openDialogs.set(id, dialog);
				if (answerer !== undefined) answer(dialog, answerer(dialog));
			}
		}
	};

	const noteLine = (line: string): void => {
		const parsed = jsonEventSchema.safeParse(parseJson(line));
		if (!parsed.success) {
			strayLines.push(line);
			return;
		}
		if (parsed.data.type === "response") {
			const response = responseSchema.parse(parsed.data);
			// 0.73.1 refuses an unknown command without saying whose response that is.
			if (response.id === undefined) strayLines.push(line);
			else responses.set(response.id, response);
			return;
		}
		const event: RpcEvent = { ...parsed.data, receivedAt: Date.now() };
		events.push(event);
		if (event.type === "extension_ui_request") noteUiRequest(event);
	};

	const announce = (): void => {
		for (const listener of [...onChange]) listener();
	};
	let unfinishedLine = "";
	child.onStdout((text) => {
		const lines = `${unfinishedLine}${text}`.split("\n");
		unfinishedLine = lines.pop() ?? "";
		for (const line of lines) if (line.trim() !== "") noteLine(line);
		announce();
	});
	const noteEnd = (outcome: PiResult | Error): void => {
		end = outcome;
		announce();
	};
	child.ended.then(noteEnd, noteEnd);

	const seenSoFar = (): string => {
		const described = events.slice(-25).map((event) => {
			const what = event.type === "extension_ui_request" ? `${event.type} ${String(event.method)}` : event.type;
			return `  +${event.receivedAt - startedAt} ms ${what}`;
		});
		const stray = strayLines.length === 0 ? "" : `\nstray lines: ${outputTail(strayLines.join("\n"))}`;
		const told = notifications.map((notification) => `\n  notified: ${notification.message}`).join("");
		return `last of ${events.length} events:\n${described.join("\n")}${told}${stray}\nstderr: ${outputTail(child.stderr())}`;
	};

	/** Resolves with the first value the probe returns; it is asked again after everything that pi writes. */
	const until = <T>(what: string, timeoutMs: number, probe: () => T | undefined): Promise<T> =>
		new Promise((resolve, reject) => {
			const finish = (settle: () => void): void => {
				clearTimeout(timer);
				onChange.delete(check);
				settle();
			};
			const check = (): void => {
				const value = probe();
				if (value !== undefined) finish(() => resolve(value));
				else if (end instanceof Error) finish(() => reject(end));
				else if (end !== undefined) {
					const how = `exit code ${end.code}, signal ${end.signal}`;
					finish(() => reject(new Error(`pi ended (${how}) while waiting for ${what}; ${seenSoFar()}`)));
				}
			};
			const timer = setTimeout(() => {
				finish(() => reject(new Error(`${what}: not within ${timeoutMs} ms; ${seenSoFar()}`)));
			}, timeoutMs);
			onChange.add(check);
			check();
		});

	const command = async (
		type: string,
		fields: Readonly<Record<string, unknown>> = {},
		timeoutMs = 60_000,
	): Promise<unknown> => {
		commandCount += 1;
		const id = `command-${commandCount}`;
		send({ ...fields, id, type });
		const response = await until(`response to ${type}`, timeoutMs, () => responses.get(id));
		responses.delete(id);
		if (!response.success) throw new Error(`${type} refused: ${response.error ?? "(no reason)"}`);
		return response.data;
	};

	const sendPrompt = async (text: string, timeoutMs = 60_000): Promise<void> => {
		turnStart = events.length;
		await command("prompt", { message: text }, timeoutMs);
	};

	const waitFor: Rpc["waitFor"] = (predicate, timeoutMs = 60_000, from = 0) => {
		let next = from;
		return until("the event", timeoutMs, () => {
			while (next < events.length) {
				const event = events[next];
				next += 1;
				if (event !== undefined && predicate(event)) return event;
			}
			return undefined;
		});
	};

	const settled = async (timeoutMs = 100_000): Promise<Turn> => {
		const from = turnStart;
		if (!WITHOUT_SETTLED.test(hostName)) {
			await waitFor((event) => event.type === "agent_settled", timeoutMs, from);
			return describeTurn(events.slice(from));
		}
		// Such a host writes auto_retry_start and compaction_start in the same tick as the agent_end they follow, so a
		// response to a command sent after agent_end comes after them.
		const deadlineAt = Date.now() + timeoutMs;
		for (;;) {
			const remainingMs = Math.max(1, deadlineAt - Date.now());
			await until("the turn to settle", remainingMs, () => (looksSettled(events.slice(from)) ? true : undefined));
			const state = stateSchema.parse(await command("get_state", {}, Math.max(1, deadlineAt - Date.now())));
			const isBusy = state.isStreaming || state.isCompacting || state.pendingMessageCount > 0;
			if (!isBusy && looksSettled(events.slice(from))) return describeTurn(events.slice(from));
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
	};

	return {
		process: child,
		events,
		notifications,
		statusChanges,
		strayLines,
		status: (key) => statuses.get(key),
		widget: (key) => widgets.get(key),
		command,
		send: sendPrompt,
		prompt: async (text, timeoutMs = 100_000) => {
			const sentAt = Date.now();
			await sendPrompt(text, timeoutMs);
			return settled(Math.max(1, timeoutMs - (Date.now() - sentAt)));
		},
		settled,
		waitFor,
		waitForNotification: (text, timeoutMs = 60_000) =>
			until(`notification ${text}`, timeoutMs, () =>
				notifications.find(({ message }) => (typeof text === "string" ? message.includes(text) : text.test(message))),
			),
		waitForDialog: (timeoutMs = 60_000, method) =>
			until(`a dialog ${method ?? ""}`, timeoutMs, () =>
				[...openDialogs.values()].find((dialog) => method === undefined || dialog.method === method),
			),
		answer,
		answerDialogs: (newAnswerer) => {
			answerer = newAnswerer;
		},
		abort: async (timeoutMs = 60_000) => {
			await command("abort", {}, timeoutMs);
		},
		close: async (patienceMs = 5_000) => {
			child.closeStdin();
			const timer = setTimeout(() => child.signal("SIGKILL"), patienceMs);
			try {
				return await child.wait(patienceMs + 5_000);
			} finally {
				clearTimeout(timer);
			}
		},
	};
}
