import type { Account } from "../../core/account.ts";
import type { Credentials } from "../../core/credentials/credentials.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { UsageMonitor } from "../../core/pool/usage-monitor.ts";
import type { Clock, Redeemer, Redemption } from "../../core/ports.ts";
import { freshness, resetCreditsOf } from "../../core/quota.ts";
import { noAccountSignedIn } from "../../core/request/turn-texts.ts";
import type { ResetCreditList } from "../../core/reset-credits/reset-credit-list.ts";
import {
	bestFirst,
	knownCredits,
	type Redeemable,
	redeemable,
	redeemFactsOf,
	unexpired,
} from "../../core/reset-credits/reset-credits.ts";
import {
	type AccountNames,
	accountChoices,
	type CommandContext,
	isFirstPositional,
	jsonChoice,
	type Outcome,
	parseOptions,
	resolveAccount,
	type Subcommand,
} from "../../pi/command.ts";
import { baseUrlOf } from "../../pi/provider.ts";
import { askToAct, askToChoose } from "../../pi/question.ts";
import type { SessionView } from "../../pi/session-view.ts";
import * as texts from "./texts.ts";
import { type Redeeming, redeemingAsJson } from "./view.ts";

const JSON_OPTION = "--json";
const YES = "--yes";

interface Args {
	/** Undefined for the account on which a credit is worth most. */
	readonly account: Account | undefined;
	/** True if `--yes` was typed. */
	readonly isSure: boolean;
	readonly asJson: boolean;
}

interface Ports extends AccountNames {
	readonly pool: Pool;
	readonly credentials: Pick<Credentials, "accessToken">;
	readonly usage: Pick<UsageMonitor, "ask" | "setBaseUrl">;
	readonly resetCredits: Pick<ResetCreditList, "ask">;
	readonly redeemer: Redeemer;
	readonly session: Pick<SessionView, "pool">;
	readonly clock: Clock;
}

/**
 * `/multicodex redeem`: spends a reset credit, which refills the windows of its account early. Asks if a person can
 * answer; otherwise only `--yes` spends one.
 */
export function createRedeem(ports: Ports): Subcommand<Args> {
	const { pool } = ports;
	const usage = `redeem [account] [${YES}] [${JSON_OPTION}]`;
	const hasCredits = ({ id }: Account) => resetCreditsOf(pool.status(id).usage) > 0;
	return {
		name: "redeem",
		usage,
		summary: "spend a reset credit to refill the windows of its account",
		onAccount: { isOffered: hasCredits, args: (account) => ({ account, isSure: false, asJson: false }) },
		complete: (before) => {
			const accounts = isFirstPositional(before) ? accountChoices(ports, hasCredits) : [];
			const yes = { value: YES, label: YES, description: "needed if no person can be asked" };
			return [...accounts, ...(before.includes(YES) ? [] : [yes]), ...jsonChoice(before)];
		},
		parse: (words) => {
			const given = parseOptions(words, [JSON_OPTION, YES], usage);
			if ("failure" in given) return given;
			const { options, rest } = given;
			const how = { isSure: options.has(YES), asJson: options.has(JSON_OPTION) };
			if (rest.length === 0) return { account: undefined, ...how };
			const account = resolveAccount(rest, pool);
			return "failure" in account ? account : { account, ...how };
		},
		run: (args, ctx) => redeemNow(args, ctx, ports),
	};
}

async function redeemNow(args: Args, ctx: CommandContext, ports: Ports): Promise<Outcome> {
	const { pool, clock, usage } = ports;
	if (pool.accounts().length === 0) return { failure: noAccountSignedIn() };
	const baseUrl = baseUrlOf(ctx.host);
	if (baseUrl !== undefined) usage.setBaseUrl(baseUrl);
	const asked = args.account ? [args.account] : accountsFor(ctx, ports);
	await Promise.all(asked.map((account) => lookAt(account, ctx.signal, ports)));
	pool.emit({ type: "changed" });
	const now = clock.now();
	const offers = asked.flatMap((account) => offerOf(account, pool, now));
	const [best, ...others] = bestFirst(
		offers.flatMap(({ found }) => (found.kind === "redeemable" ? [found] : [])),
		now,
	);
	if (!best) return nothingToSpend(args, offers, now);
	if (args.asJson && !args.isSure) return { text: "", json: redeemingAsJson({ offers }), asJson: true };
	if (!ctx.host.hasUI) {
		return args.isSure ? spend(best, offers, args, ctx, ports) : { failure: texts.needsYes(best, now) };
	}
	const answer = await ask([best, ...others], offers, ctx, now);
	if (answer === "kept" || answer === "cancelled") {
		return {
			text: texts.NOTHING,
			json: redeemingAsJson({ offers }),
			asJson: args.asJson,
			isCancelled: answer === "cancelled",
		};
	}
	return spend(answer, offers, args, ctx, ports);
}

/** Returns the accounts that may serve this session. Resetting any other would not help it. */
function accountsFor({ host }: CommandContext, { pool, session }: Ports): readonly Account[] {
	const outside = session.pool(host).accounts.filter(({ outsideOf }) => outsideOf !== undefined);
	const ids = new Set(outside.map(({ account }) => account.id));
	return pool.accounts().filter(({ id }) => !ids.has(id));
}

/** Fetches usage, and the list of reset credits if there are any. */
async function lookAt(
	{ id, enabled, needsLogin }: Account,
	signal: AbortSignal,
	{ pool, credentials, usage, resetCredits }: Ports,
): Promise<void> {
	if (!enabled || needsLogin) return;
	const token = await credentials.accessToken(id, { signal });
	if (token.kind !== "ready") return;
	await usage.ask(id);
	if (resetCreditsOf(pool.status(id).usage) > 0) await resetCredits.ask(id, signal);
}

/** Returns what may be spent of an account with credits. No credit is spent on the basis of old usage. */
function offerOf(account: Account, pool: Pool, now: number): texts.Offer[] {
	const status = pool.status(account.id);
	if (resetCreditsOf(status.usage) === 0) return [];
	const facts = { ...redeemFactsOf(pool.account(account.id) ?? account, status), closedUntil: undefined };
	const usage = freshness(status.usage, now) === "fresh" ? status.usage : undefined;
	return [{ account, credits: unexpired(facts.credits, now), found: redeemable({ ...facts, usage }, now) }];
}

function nothingToSpend({ account, isSure, asJson }: Args, offers: readonly texts.Offer[], now: number): Outcome {
	const [only] = offers;
	const none = only ? texts.noneRedeemable(offers, now) : texts.noCredits(account);
	const isNamed = account && only && only.found.kind !== "redeemable";
	const text = isNamed ? texts.cannotRedeem(account, only.found, now) : none;
	return { text, json: redeemingAsJson({ offers }), asJson, isFailing: isSure || account !== undefined };
}

/** Asks for consent. The highlighted answer spends nothing. */
async function ask(
	found: readonly Redeemable[],
	offers: readonly texts.Offer[],
	ctx: CommandContext,
	now: number,
): Promise<Redeemable | "kept" | "cancelled"> {
	const [first] = found;
	if (first && found.length === 1) {
		const credits = offers.find(({ account }) => account.id === first.account.id)?.credits ?? [];
		const answer = await askToAct(ctx, texts.redeemQuestion(first, credits, now));
		if (answer === "act") return first;
		return answer === "keep" ? "kept" : answer;
	}
	const answers = found.map(({ account }) => texts.redeemAnswer(account));
	const answer = await askToChoose(ctx, { ...texts.choiceQuestion(offers, now), answers: [texts.KEEP, ...answers] });
	if (answer === undefined) return "cancelled";
	return found[answers.indexOf(answer)] ?? "kept";
}

async function spend(
	{ account, credit }: Redeemable,
	offers: readonly texts.Offer[],
	{ asJson }: Args,
	{ signal }: CommandContext,
	{ redeemer, pool, clock }: Ports,
): Promise<Outcome> {
	const redemption = await redeemer.redeem(account, credit, signal);
	const { usage, ...status } = pool.status(account.id);
	const now = clock.now();
	const json = redeemingAsJson({ offers, done: { account: account.id, redemption } } satisfies Redeeming);
	if (!isDone(redemption)) {
		const isOpen = status.redemption !== undefined && status.redemption.end === undefined;
		const text = texts.notRedeemed(account, redemption.reason, isOpen);
		return asJson ? { text, json, asJson, isFailing: true } : { failure: text };
	}
	const left = unexpired(knownCredits({ usage, ...status }), now).length;
	return {
		text: texts.redeemed(account, { isAlready: redemption.kind === "already", usage, left }, now),
		json,
		asJson,
	};
}

function isDone(redemption: Redemption): redemption is Extract<Redemption, { readonly kind: "redeemed" | "already" }> {
	return redemption.kind === "redeemed" || redemption.kind === "already";
}
