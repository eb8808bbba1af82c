import { CACHE_LIFE_MS, DAY_MS, HOUR_MS, MINUTE_MS, type Model, START, WEEK_MS, workOf } from "./model.ts";
import { createDice, type Dice } from "./random.ts";

/** One request that a user wants to make. */
export interface Turn {
	/** Epoch ms, if nothing holds the session up. */
	readonly plannedAt: number;
	/** It follows the one before it at least by so much. */
	readonly gapMs: number;
	readonly inputTokens: number;
	readonly outputTokens: number;
	/** No cache can help: the session's first turn, after a compaction, or after an hour's pause. */
	readonly isCold: boolean;
	/** The first one after a compaction. */
	readonly isCompacted: boolean;
	/** What it costs in a session that stays on its account: the unit in which demand and service are counted. */
	readonly work: number;
}

/** A conversation: its turns come one after the other. */
export interface Session {
	readonly turns: readonly Turn[];
	/** What is not served by then is lost. */
	readonly deadline: number;
}

/** An account as it comes into the simulation. */
export interface AccountSpec {
	readonly plan: "plus" | "prolite" | "free";
	/** What the 5h window holds; undefined without one. */
	readonly shortWork: number | undefined;
	readonly longWork: number;
	readonly longMs: number;
	/** Where the longer clock runs from before: when it ends, and how much is used up. */
	readonly running: { readonly endsAt: number; readonly used: number } | undefined;
	/** Its usage is asked for every so often, beginning here; both as in a pool in use. */
	readonly poll: { readonly firstAt: number; readonly everyMs: number };
}

/** Something that happens to an account without us. */
export interface Outside {
	readonly at: number;
	readonly account: number;
	/** Work that another program does with the account; undefined for an early reset of all its windows. */
	readonly work: number | undefined;
}

/** Some weeks of one pool, whatever the policy. */
export interface Scenario {
	readonly name: string;
	readonly seed: number;
	readonly accounts: readonly AccountSpec[];
	/** In the order in which they begin. */
	readonly sessions: readonly Session[];
	/** In the order in which it happens. */
	readonly outside: readonly Outside[];
	/** Demand as a share of what all the accounts' longer windows hold in that time. */
	readonly load: number;
	readonly endsAt: number;
}

/** A kind of user. */
export interface Family {
	readonly name: string;
	readonly title: string;
	/** Weeks that are played: as many turns in each family, more or less. */
	readonly weeks: number;
	/** Demand as a share of capacity. */
	readonly load: readonly [low: number, high: number];
	/** Share of an account's capacity that others take. */
	readonly outsideShare: number;
	readonly accounts: (dice: Dice) => readonly AccountSpec["plan"][];
	/** Share of the accounts on which nothing runs at the beginning. */
	readonly untouched: number;
	/** Plans the next piece of work: one session, or several that belong together. */
	readonly plan: (maker: Maker) => readonly Session[];
}

/** What a family plans its sessions with. */
interface Maker {
	readonly dice: Dice;
	readonly model: Model;
	readonly weeks: number;
	/** The heavy day of each week, 0 for Monday. */
	readonly heavyDays: readonly number[];
}

interface Style {
	readonly turns: number;
	/** Mean time between two requests of an agent that works. */
	readonly gapMs: number;
	/** How often the person has to think or is away in between, and how long for. */
	readonly pauseChance: number;
	readonly pauseMs: number;
	/** Turns after which the session is put away for hours, or until tomorrow. */
	readonly breakEvery?: number;
}

/** An early reset comes to an account once in so long. */
const EARLY_RESET_MS = 8 * WEEK_MS;

const plus = (count: number): AccountSpec["plan"][] => Array.from({ length: count }, () => "plus");

/** Every kind of user, by the name under which the results stand. */
export const FAMILIES: readonly Family[] = [
	{
		name: "W1",
		title: "one developer, office hours, 2-4 plus",
		weeks: 4,
		load: [0.7, 1.3],
		outsideShare: 0.05,
		accounts: (dice) => plus(dice.whole(2, 4)),
		untouched: 0.15,
		plan: (maker) => [inOffice(maker, { turns: turnsAround(maker.dice, 70) })],
	},
	{
		name: "W2",
		title: "heavy user, 6-8 mixed, bursts of 4-8 subagents",
		weeks: 2,
		load: [0.7, 1.2],
		outsideShare: 0.05,
		accounts: (dice) => [...plus(dice.whole(5, 7)), dice.chance(0.5) ? "prolite" : "plus"],
		untouched: 0.15,
		plan: (maker) => {
			const { dice } = maker;
			const startsAt = someDay(maker, 6) + dice.between(8, 23) * HOUR_MS;
			const main = sessionAt(maker, startsAt, { ...INTERACTIVE, turns: turnsAround(dice, 40) });
			if (dice.chance(0.4)) return [main];
			const burstAt = dice.pick(main.turns).plannedAt;
			const subagents = Array.from({ length: dice.whole(4, 8) }, () =>
				sessionAt(maker, burstAt + dice.between(0, 20_000), { ...UNATTENDED, turns: turnsAround(dice, 15) }),
			);
			return [main, ...subagents];
		},
	},
	{
		name: "W3",
		title: "night runs, 3-6 plus",
		weeks: 4,
		load: [0.7, 1.3],
		outsideShare: 0.05,
		accounts: (dice) => plus(dice.whole(3, 6)),
		untouched: 0.15,
		plan: (maker) => {
			const { dice } = maker;
			const style = { ...UNATTENDED, turns: turnsAround(dice, 70) };
			if (dice.chance(0.4)) return [inOffice(maker, style)];
			return [sessionAt(maker, someDay(maker, 7) + dice.between(20, 30) * HOUR_MS, style)];
		},
	},
	{
		name: "W4",
		title: "20 accounts shared by a team",
		weeks: 2,
		load: [0.85, 1.2],
		outsideShare: 0.1,
		accounts: (dice) => [...plus(dice.whole(17, 18)), "prolite", "free"],
		untouched: 0.15,
		plan: (maker) => {
			const startsAt = someDay(maker, 6) + maker.dice.between(7, 21) * HOUR_MS;
			return [sessionAt(maker, startsAt, { ...INTERACTIVE, turns: turnsAround(maker.dice, 17) })];
		},
	},
	{
		name: "W5",
		title: "light user, untouched accounts",
		weeks: 4,
		load: [0.2, 0.45],
		outsideShare: 0.05,
		accounts: (dice) => plus(dice.whole(3, 5)),
		untouched: 0.6,
		plan: (maker) => [inOffice(maker, { turns: turnsAround(maker.dice, 165) })],
	},
	{
		name: "W6",
		title: "light week with one heavy day",
		weeks: 4,
		load: [0.5, 0.8],
		outsideShare: 0.05,
		accounts: (dice) => plus(dice.whole(3, 4)),
		untouched: 0.15,
		plan: (maker) => {
			const { dice, heavyDays } = maker;
			const style = { ...INTERACTIVE, turns: turnsAround(dice, 135) };
			if (dice.chance(0.25)) return [inOffice(maker, style)];
			const week = dice.whole(0, maker.weeks - 1);
			const day = START + week * WEEK_MS + (heavyDays[week] ?? 0) * DAY_MS;
			return [sessionAt(maker, day + dice.between(9, 19) * HOUR_MS, style)];
		},
	},
	{
		name: "W7",
		title: "as W1, sessions resumed after breaks and overnight",
		weeks: 4,
		load: [0.7, 1.3],
		outsideShare: 0.05,
		accounts: (dice) => plus(dice.whole(2, 4)),
		untouched: 0.15,
		plan: (maker) => [inOffice(maker, { turns: turnsAround(maker.dice, 60), breakEvery: 25 })],
	},
];

const INTERACTIVE = { gapMs: 20_000, pauseChance: 0.12, pauseMs: 3 * MINUTE_MS };
const UNATTENDED = { gapMs: 25_000, pauseChance: 0, pauseMs: 0 };

function turnsAround(dice: Dice, median: number): number {
	return Math.max(3, Math.round(dice.logNormal(median, 0.6)));
}

function someDay({ dice, weeks }: Maker, days: number): number {
	return START + dice.whole(0, weeks - 1) * WEEK_MS + dice.whole(0, days - 1) * DAY_MS;
}

function inOffice(maker: Maker, style: Partial<Style> & { readonly turns: number }): Session {
	const startsAt = someDay(maker, 5) + maker.dice.between(9, 17.5) * HOUR_MS;
	return sessionAt(maker, startsAt, { ...INTERACTIVE, ...style });
}

const FIRST_INPUT_TOKENS = 14_000;
const COMPACT_AT_TOKENS = 160_000;
const COMPACTED_TOKENS = 30_000;

function sessionAt({ dice, model }: Maker, startsAt: number, style: Style): Session {
	const turns: Turn[] = [];
	let plannedAt = startsAt;
	let inputTokens = FIRST_INPUT_TOKENS;
	for (let index = 0; index < style.turns; index += 1) {
		const isBreak = style.breakEvery !== undefined && index > 0 && dice.chance(1 / style.breakEvery);
		const waits = 5_000 + dice.exponential(dice.chance(style.pauseChance) ? style.pauseMs : style.gapMs);
		if (index > 0) plannedAt = isBreak ? afterBreak(plannedAt, dice) : plannedAt + waits;
		const isCompacted = inputTokens > COMPACT_AT_TOKENS;
		if (isCompacted) inputTokens = COMPACTED_TOKENS;
		const before = turns.at(-1);
		const isCold = !before || isCompacted || plannedAt - before.plannedAt >= CACHE_LIFE_MS;
		const outputTokens = Math.round(dice.logNormal(600, 0.8));
		const work = workOf(inputTokens, outputTokens, isCold ? 0 : model.cachedWhenWarm);
		turns.push({ plannedAt, gapMs: isBreak ? MINUTE_MS : waits, inputTokens, outputTokens, isCold, isCompacted, work });
		inputTokens += outputTokens + Math.round(dice.logNormal(500, 1));
	}
	return { turns, deadline: plannedAt + dice.between(2, 3) * HOUR_MS };
}

/** One to four hours later, or, past six in the evening, the next morning. */
function afterBreak(at: number, dice: Dice): number {
	const later = at + dice.between(1, 4) * HOUR_MS;
	const midnight = at - (at % DAY_MS);
	return later < midnight + 18 * HOUR_MS ? later : midnight + DAY_MS + dice.between(8.5, 11) * HOUR_MS;
}

/** The weeks of one family and seed. The same for every policy. */
export function createScenario(family: Family, seed: number, weeks: number, model: Model): Scenario {
	const dice = createDice(seed, `${family.name} accounts`);
	const accounts = family.accounts(dice).map((plan) => specOf(plan, family, dice, model));
	const capacity = accounts.reduce((sum, { longWork, longMs }) => sum + longWork * ((weeks * WEEK_MS) / longMs), 0);
	const load = dice.between(...family.load);
	const heavyDays = Array.from({ length: weeks }, () => dice.whole(0, 4));
	const sessions: Session[] = [];
	const wanted = load * capacity;
	const maker = { dice: createDice(seed, `${family.name} sessions`), model, weeks, heavyDays };
	for (let planned = 0; planned < wanted; ) {
		const next = family.plan(maker);
		sessions.push(...next);
		planned += next.reduce((sum, session) => sum + workIn(session), 0);
	}
	sessions.sort((a, b) => startOf(a) - startOf(b));
	const endsAt = Math.max(START + weeks * WEEK_MS, ...sessions.map(({ deadline }) => deadline));
	const outside = outsideOf(family, accounts, endsAt, createDice(seed, `${family.name} outside`));
	return { name: family.name, seed, accounts, sessions, outside, load, endsAt };
}

/** What a session asks for. */
export function workIn({ turns }: Session): number {
	return turns.reduce((sum, { work }) => sum + work, 0);
}

function startOf({ turns }: Session): number {
	return turns[0]?.plannedAt ?? START;
}

function specOf(plan: AccountSpec["plan"], family: Family, dice: Dice, model: Model): AccountSpec {
	const factor = plan === "prolite" ? 5 : 1;
	// A free account has one window of a month; it holds 1134 credits, a plus account's 5h window 225.
	const isFree = plan === "free";
	const longMs = isFree ? 30 * DAY_MS : WEEK_MS;
	const longWork = isFree ? (1134 / 225) * model.windowWork : factor * model.windowsPerWeek * model.windowWork;
	const elapsed = dice.unit();
	const everyMs = dice.between(5, 15) * MINUTE_MS;
	const poll = { firstAt: START + dice.unit() * everyMs, everyMs };
	const used = longWork * elapsed * dice.unit();
	const running = dice.chance(family.untouched) ? undefined : { endsAt: START + (1 - elapsed) * longMs, used };
	return { plan, shortWork: isFree ? undefined : factor * model.windowWork, longWork, longMs, running, poll };
}

function outsideOf(family: Family, accounts: readonly AccountSpec[], endsAt: number, dice: Dice): Outside[] {
	const found: Outside[] = [];
	for (const [account, spec] of accounts.entries()) {
		const portion = (spec.shortWork ?? spec.longWork / 6) * 0.05;
		const everyMs = (spec.longMs * portion) / (spec.longWork * family.outsideShare);
		for (let at = START + dice.exponential(everyMs); at < endsAt; at += dice.exponential(everyMs)) {
			found.push({ at, account, work: portion * dice.between(0.4, 1.6) });
		}
		for (let at = START + dice.exponential(EARLY_RESET_MS); at < endsAt; at += dice.exponential(EARLY_RESET_MS)) {
			found.push({ at, account, work: undefined });
		}
	}
	return found.sort((a, b) => a.at - b.at);
}
