import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { DryAnswer } from "../../../../src/core/beyond/ladder.ts";
import type { PoolEvent } from "../../../../src/core/events.ts";
import type { Forecast } from "../../../../src/core/forecast/forecast.ts";
import type { DryQuestion } from "../../../../src/core/ports.ts";
import { createForToday } from "../../../../src/features/beyond/for-today.ts";
import { createDryQuestion } from "../../../../src/features/beyond/question.ts";
import { choiceText, periodText } from "../../../../src/features/beyond/texts.ts";
import { openPanel } from "../../../../src/pi/panel.ts";
import { aClock, aStateStore, DAY_MS, NOW, settled } from "../../../support/fakes.ts";
import { aContext, aPi, type FakeContext, type FakePi } from "../../fake-pi.ts";
import { ALL, anOffer, RUNGS } from "./offers.ts";

let clock: ReturnType<typeof aClock>;
let pi: FakePi;
let events: PoolEvent[];
let state: ReturnType<typeof aStateStore>;
let question: DryQuestion;
let forecast: Forecast | undefined;
let isMasked: boolean;
let begun: FakeContext[];
let testEnd: AbortController;
beforeEach(() => {
	begun = [];
	testEnd = new AbortController();
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
	clock = aClock();
	pi = aPi();
	events = [];
	state = aStateStore();
	isMasked = false;
	forecast = undefined;
	question = createDryQuestion(pi.api, {
		pool: { emit: (event) => events.push(event) },
		forToday: createForToday(state, clock),
		forecasts: { renew: async () => forecast },
		isMasked: () => isMasked,
		clock,
	});
});
afterEach(async () => {
	// Each panel waits for the ones before it: what a test leaves open would fail all that follow.
	testEnd.abort();
	for (const { ctx } of begun) await pi.fire("session_shutdown", ctx);
	vi.useRealTimers();
});

const begin = async (init: Parameters<typeof aContext>[0] = { mode: "tui" }): Promise<FakeContext> => {
	const context = aContext(init);
	context.isAway = true;
	begun.push(context);
	await pi.fire("session_start", context.ctx);
	return context;
};
/** Everything that is under way, the import of the panel's file too. */
const settle = async () => {
	await vi.dynamicImportSettled();
	await vi.advanceTimersByTimeAsync(0);
};
const press = async ({ panel }: FakeContext, ...keys: readonly string[]) => {
	for (const key of keys) {
		panel?.handleInput?.(key);
		await vi.advanceTimersByTimeAsync(200);
	}
};
/** Waits for the panel, whose file may still have to be loaded. The person then sees it. */
const look = async (context: FakeContext) => {
	await settle();
	// A panel follows another after a pause.
	for (let turn = 0; turn < 2000 && !context.panel; turn += 1) {
		await settled();
		await vi.advanceTimersByTimeAsync(10);
	}
	context.panel?.render(100);
	await vi.advanceTimersByTimeAsync(1000);
};
const DOWN = "\x1b[B";
const taken = (rung: (typeof RUNGS)[keyof typeof RUNGS], forToday = false): DryAnswer => ({
	kind: "take",
	rung,
	forToday,
});
const isAsking = () => events.flatMap((event) => (event.type === "asking" ? [event.isOpen] : []));

describe("in the terminal", () => {
	it("asks on a panel in the middle of a turn, and tells that it waits", async () => {
		const context = await begin();
		const asked = question.ask(ALL, undefined);
		await look(context);
		expect(context.panel?.render(100).join("\n")).toContain("How should this turn continue?");
		expect(isAsking()).toEqual([true]);
		await press(context, DOWN, DOWN, "\r");
		expect(await asked).toEqual(taken(RUNGS.reserveModel));
		expect([isAsking(), context.panel]).toEqual([[true, false], undefined]);
	});

	it("tells, if that is known, how long quota will last once the first account is back", async () => {
		const again = { dryAt: NOW + 3 * DAY_MS, from: NOW + 2 * DAY_MS, to: undefined, comesBack: [] };
		forecast = { madeAt: NOW, pool: undefined, serving: undefined, accounts: [], again };
		const context = await begin();
		const asked = question.ask(ALL, undefined);
		await look(context);
		expect(context.panel?.render(120).join("\n")).toContain("quota lasts until Mon (Sun or later)");
		await press(context, "\x1b");
		expect(await asked).toEqual({ kind: "stop" });
	});

	it("puts what was typed into the panel into the editor, unsent", async () => {
		const context = await begin();
		const asked = question.ask(ALL, undefined);
		await look(context);
		await press(context, "h", "i", "\r", "\x1b");
		expect(await asked).toEqual({ kind: "stop" });
		expect(context.pasted).toEqual(["hi"]);
	});

	it("remembers a yes for the day, in the file that all processes read", async () => {
		const context = await begin();
		const asked = question.ask(ALL, undefined);
		await look(context);
		await press(context, DOWN, DOWN, "\x1b[C", "\r");
		expect(await asked).toEqual(taken(RUNGS.reserveModel, true));
		const midnight = new Date(NOW).setHours(24, 0, 0, 0);
		expect([...state.consentsById]).toEqual([["reserve-model", midnight]]);
		expect(events.at(-1)).toEqual({ type: "setting", name: "beyond.today", value: "reserve-model" });
	});

	it("is taken away with the turn that asked", async () => {
		const context = await begin();
		const turn = new AbortController();
		const asked = question.ask(ALL, turn.signal);
		await look(context);
		turn.abort(new Error("aborted"));
		await expect(asked).rejects.toThrow("aborted");
		await settle();
		expect([context.panel, isAsking()]).toEqual([undefined, [true, false]]);
	});

	it("ends with its session", async () => {
		const context = await begin();
		const asked = question.ask(ALL, undefined);
		await look(context);
		await pi.fire("session_shutdown", context.ctx);
		expect(await asked).toEqual({ kind: "stop" });
		expect(await question.ask(ALL, undefined)).toEqual({ kind: "unavailable" });
	});

	it("leaves a panel that is open alone, and comes after it", async () => {
		const context = await begin();
		let close = (): void => undefined;
		const other = openPanel({ host: context.ctx, signal: testEnd.signal }, { ended: 1 }, (host) => {
			close = () => host.close(2);
			return { render: () => ["another panel"], invalidate: () => undefined };
		});
		const asked = question.ask(ALL, undefined);
		await look(context);
		expect(context.panel?.render(100)).toEqual(["another panel"]);
		close();
		expect(await other).toBe(2);
		await look(context);
		await press(context, "\r");
		expect(await asked).toEqual(taken(RUNGS.wait));
	});

	it("does not come between two panels of one command, however long the command is busy there", async () => {
		const context = await begin();
		let end = (): void => undefined;
		const ended = new Promise<void>((resolve) => {
			end = resolve;
		});
		const place = { host: context.ctx, signal: testEnd.signal, ended };
		const show = (name: string) =>
			openPanel(place, { ended: 1 }, ({ close }) => {
				return { render: () => [name], invalidate: () => undefined, handleInput: () => close(2) };
			});
		const first = show("first");
		await press(context, "x");
		expect(await first).toBe(2);
		const asked = question.ask(ALL, undefined);
		await settle();
		await vi.advanceTimersByTimeAsync(5000);
		expect(context.panel).toBeUndefined();
		const second = show("second");
		await look(context);
		expect(context.panel?.render(100)).toEqual(["second"]);
		await press(context, "x");
		expect(await second).toBe(2);
		end();
		await look(context);
		await press(context, "\r");
		expect(await asked).toEqual(taken(RUNGS.wait));
	});

	it("waits for no command of a session that has ended", async () => {
		const context = await begin();
		const before = new AbortController();
		const never = new Promise<void>(() => undefined);
		const place = { host: context.ctx, signal: before.signal, ended: never };
		const first = openPanel(place, { ended: 1 }, ({ close }) => {
			return { render: () => ["first"], invalidate: () => undefined, handleInput: () => close(2) };
		});
		await press(context, "x");
		expect(await first).toBe(2);
		before.abort();
		const asked = question.ask(ALL, undefined);
		await look(context);
		await press(context, "\r");
		expect(await asked).toEqual(taken(RUNGS.wait));
	});

	it("hides e-mails for a person who wants that", async () => {
		isMasked = true;
		const context = await begin();
		const account = { ...RUNGS.wait.account, label: "me@acme.example" };
		void question.ask([anOffer({ ...RUNGS.wait, account })], undefined);
		await look(context);
		expect(context.panel?.render(100).join("\n")).not.toContain("me@acme");
		await pi.fire("session_shutdown", context.ctx);
	});
});

describe("for an RPC client", () => {
	it("asks by a dialog, with a choice of its own for the whole day", async () => {
		const context = await begin({ mode: "rpc", hasPanels: false });
		context.isAway = false;
		const stop = choiceText({ kind: "stop" }, NOW);
		const once = choiceText({ kind: "take", rung: RUNGS.reserveModel, canBeRemembered: true }, NOW);
		const today = `${once}. ${periodText(true)}`;
		context.choice = today;
		expect(await question.ask([anOffer(RUNGS.reserveModel)], undefined)).toEqual(taken(RUNGS.reserveModel, true));
		expect(context.details).toEqual([[stop, once, today].join(", ")]);
	});

	it("ends the turn if the dialog is cancelled, or gone", async () => {
		const context = await begin({ mode: "rpc", hasPanels: false });
		context.isAway = false;
		expect(await question.ask(ALL, undefined)).toEqual({ kind: "stop" });
		context.isAway = true;
		const turn = new AbortController();
		const asked = question.ask(ALL, turn.signal);
		await settle();
		turn.abort(new Error("aborted"));
		await expect(asked).rejects.toThrow("aborted");
	});
});

describe("without a person", () => {
	it.each(["print", "json"] as const)("asks nothing: %s", async (mode) => {
		const context = await begin({ mode, hasUI: false });
		expect(await question.ask(ALL, undefined)).toEqual({ kind: "unavailable" });
		expect([context.questions, isAsking()]).toEqual([[], []]);
	});

	it("asks nothing in a session that was replaced", async () => {
		const context = await begin();
		context.isStale = true;
		expect(await question.ask(ALL, undefined)).toEqual({ kind: "unavailable" });
		expect(events.at(-1)).toEqual({ type: "asking", isOpen: false });
	});
});
