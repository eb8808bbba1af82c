import type { Account } from "../../core/account.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { Clock, SharedPools } from "../../core/ports.ts";
import { askToTick } from "../../pi/checklist.ts";
import {
	type AccountNames,
	accountChoices,
	type CommandContext,
	type Completion,
	type Failure,
	isFailure,
	type Outcome,
	parseOptions,
	resolveAccount,
	type Subcommand,
	usageError,
} from "../../pi/command.ts";
import { columnsNow } from "../../pi/output.ts";
import { askToAct } from "../../pi/question.ts";
import { withPatience } from "./patience.ts";
import { shareable, type Unshareable, whyUnshareable } from "./rules.ts";
import * as texts from "./texts.ts";
import { poolAsJson, poolAsText } from "./view.ts";
import {
	type GivenSecret,
	givenSecret,
	isCodeWord,
	isUrlWord,
	machineNamed,
	poolNameOf,
	readSecret,
	takeValues,
	unquoted,
} from "./words.ts";

const ALL = "all";
const JSON_OPTION = "--json";
const ROTATE = "--rotate";
const CODES = "--codes";
const YES = "--yes";
const NAME = "--name";
const USAGE = `share [postgres URL] [account …|${ALL}] | share ${ROTATE}|${CODES}`;

/** The accounts that were named. */
type Named = readonly Account[] | typeof ALL | undefined;

type Args = { readonly asJson: boolean } & (
	| { readonly kind: "show" | "codes" }
	| { readonly kind: "rotate"; readonly isSure: boolean; readonly url: GivenSecret | undefined }
	| { readonly kind: "create"; readonly url: GivenSecret; readonly machine: string | undefined; readonly named: Named }
	| { readonly kind: "add"; readonly named: readonly Account[] | typeof ALL }
);

interface Ports extends AccountNames {
	readonly pool: Pick<Pool, "accounts" | "emit">;
	readonly sharedPools: SharedPools;
	readonly clock: Clock;
}

/** `/multicodex share`: creates a shared pool, adds accounts to it, and shows it. */
export function createShare(ports: Ports): Subcommand<Args> {
	return {
		name: "share",
		usage: USAGE,
		summary: "one pool for several machines, in your own Postgres",
		complete: (before) => choices(before, ports),
		parse: (words) => parseShare(words, ports.pool),
		run: (args, ctx) => carryOut(args, ctx, ports),
	};
}

function choices(before: readonly string[], ports: Ports): Completion[] {
	const status = ports.sharedPools.status();
	const hasUrl = before.some(isUrlWord);
	if (!status && !hasUrl) {
		const url = { value: "postgres://", label: "postgres://…", description: "the database that holds the pool" };
		return before.length === 0 ? [url] : [];
	}
	if (before.includes(ALL) || before.some((word) => [ROTATE, CODES, JSON_OPTION].includes(word))) return [];
	const chosen = before.filter((word) => !word.startsWith("--"));
	// A word with a closed quote is a complete label.
	if (chosen.some((word) => word.includes('"'))) return [];
	const accounts = accountChoices(ports, (account) => {
		const isChosen = chosen.includes(account.label) || chosen.includes(account.id);
		return !isChosen && whyUnshareable(account) === undefined;
	});
	const all = { value: ALL, label: ALL, description: "every account that can be shared" };
	const options = [
		{ value: CODES, label: CODES, description: "the join codes once more" },
		{ value: ROTATE, label: ROTATE, description: "new keys: older join codes stop working" },
		{ value: JSON_OPTION, label: JSON_OPTION, description: "as one JSON document" },
	];
	const isFirst = chosen.filter((word) => !isUrlWord(word)).length === 0;
	return [...accounts, ...(isFirst && accounts.length > 1 ? [all] : []), ...(before.length === 0 ? options : [])];
}

function parseShare(words: readonly string[], pool: Pick<Pool, "accounts">): Args | Failure {
	const valued = takeValues(words, NAME, USAGE);
	if (isFailure(valued)) return valued;
	const given = parseOptions(valued.rest, [JSON_OPTION, ROTATE, CODES, YES, NAME], USAGE);
	if (isFailure(given)) return given;
	const named = machineNamed(valued.values);
	if (isFailure(named)) return named;
	const { options } = given;
	const rest = given.rest.map((word) =>
		isUrlWord(unquoted(word)) || isCodeWord(unquoted(word)) ? unquoted(word) : word,
	);
	const asJson = options.has(JSON_OPTION);
	if (rest.some(isCodeWord)) return { failure: texts.codeInPlaceOfUrl() };
	const [first, ...others] = rest;
	const url = first !== undefined && isUrlWord(first) ? givenSecret(first) : undefined;
	const called = url?.kind === "typed" ? poolNameOf(url.text) : undefined;
	if (called && isFailure(called)) return called;
	if (options.has(ROTATE)) {
		if (options.has(CODES) || (url ? others : rest).length > 0) return usageError(USAGE, texts.standsAlone(ROTATE));
		return { kind: "rotate", isSure: options.has(YES), url, asJson };
	}
	if (options.has(CODES)) {
		return rest.length > 0 ? usageError(USAGE, texts.standsAlone(CODES)) : { kind: "codes", asJson };
	}
	const accounts = accountsIn(url ? others : rest, pool);
	if (typeof accounts === "object" && isFailure(accounts)) return accounts;
	if (url) return { kind: "create", url, machine: named.machine, named: accounts, asJson };
	return accounts ? { kind: "add", named: accounts, asJson } : { kind: "show", asJson };
}

function accountsIn(words: readonly string[], pool: Pick<Pool, "accounts">): Named | Failure {
	if (words.length === 0) return undefined;
	if (words.some((word) => word.toLowerCase() === ALL)) {
		return words.length === 1 ? ALL : usageError(USAGE, texts.standsAlone(ALL));
	}
	const each = words.map((word) => resolveAccount([word], pool, [ALL]));
	// A label that contains a blank may be typed without quotes.
	const whole = each.some(isFailure) && words.length > 1 ? resolveAccount(words, pool) : undefined;
	if (whole && !isFailure(whole)) return [whole];
	const failure = each.find(isFailure);
	if (failure) return failure;
	return [...new Set(each.flatMap((account) => (isFailure(account) ? [] : [account])))];
}

function carryOut(args: Args, ctx: CommandContext, ports: Ports): Promise<Outcome> {
	switch (args.kind) {
		case "show":
			return show(args.asJson, ctx, ports);
		case "codes":
			return showCodes(args.asJson, ports);
		case "rotate":
			return rotate(args, ctx, ports);
		case "create":
			return create(args, ctx, ports);
		case "add":
			return add(args, ctx, ports);
	}
}

async function show(asJson: boolean, ctx: CommandContext, ports: Ports): Promise<Outcome> {
	const { sharedPools, pool, clock } = ports;
	const status = sharedPools.status() && (await withPatience(ctx, sharedPools.look));
	const accounts = pool.accounts();
	const json = poolAsJson(status, accounts);
	if (!status) return { text: texts.noPool(), json, asJson };
	const text = poolAsText({ status, accounts, now: clock.now() }, columnsNow());
	return { text, json, asJson };
}

async function showCodes(asJson: boolean, { sharedPools, pool }: Ports): Promise<Outcome> {
	const status = sharedPools.status();
	if (!status) return { failure: texts.needsPool() };
	const codes = sharedPools.codes();
	if (!codes) return { failure: texts.keepersOnly(status, "showing the join codes") };
	return { text: texts.codesShown(status, codes), json: poolAsJson(status, pool.accounts(), codes), asJson };
}

async function rotate(
	{ isSure, url, asJson }: Extract<Args, { kind: "rotate" }>,
	ctx: CommandContext,
	{ sharedPools, pool }: Ports,
): Promise<Outcome> {
	const status = sharedPools.status();
	if (!status) return { failure: texts.needsPool() };
	if (status.role === "runner") return { failure: texts.keepersOnly(status, "making new keys") };
	if (status.joinedBy === "environment") return { failure: texts.isByEnvironment() };
	const place = url && (await urlOf(url, ctx));
	if (place && isFailure(place)) return place;
	if (!ctx.host.hasUI && !isSure) return { failure: texts.rotateNeedsYes() };
	if (ctx.host.hasUI) {
		const answer = await askToAct(ctx, texts.rotateQuestion(status));
		const isCancelled = answer === "cancelled";
		if (answer !== "act") return { text: texts.KEYS_KEPT, json: poolAsJson(status, pool.accounts()), isCancelled };
	}
	const codes = await withPatience(ctx, (signal) => sharedPools.rotate(place?.url, signal));
	const now = sharedPools.status() ?? status;
	return { text: texts.rotated(now, codes), json: poolAsJson(now, pool.accounts(), codes), asJson };
}

/** Returns the URL that was typed or read from a file, and the name of a pool there. */
async function urlOf(
	given: GivenSecret,
	{ host }: CommandContext,
): Promise<{ readonly url: string; readonly name: string } | Failure> {
	const url = await readSecret(given, host.cwd);
	if (typeof url !== "string") return url;
	const called = poolNameOf(url);
	return isFailure(called) ? called : { url, name: called.name };
}

async function create(
	{ url: given, machine, named, asJson }: Extract<Args, { kind: "create" }>,
	ctx: CommandContext,
	ports: Ports,
): Promise<Outcome> {
	const { sharedPools, pool } = ports;
	const before = sharedPools.status();
	if (before) return { failure: before.joinedBy === "environment" ? texts.isByEnvironment() : texts.alreadyIn(before) };
	const place = await urlOf(given, ctx);
	if (isFailure(place)) return place;
	const { url, name } = place;
	const choice = await choose(named, texts.newPoolHeading(name), ctx, ports);
	if (choice.kind === "failed") return { failure: choice.failure };
	if (choice.kind !== "chosen") {
		const isCancelled = choice.kind === "cancelled";
		return { text: texts.NOTHING_SHARED, json: poolAsJson(undefined, []), asJson, isCancelled };
	}
	const ids = choice.accounts.map(({ id }) => id);
	const codes = await withPatience(ctx, (signal) => sharedPools.create({ url, name, machine, accounts: ids }, signal));
	pool.emit({ type: "changed" });
	const status = sharedPools.status();
	const text = texts.made(status, choice.accounts, codes);
	return { text, json: poolAsJson(status, pool.accounts(), codes), asJson };
}

async function add(
	{ named, asJson }: Extract<Args, { kind: "add" }>,
	ctx: CommandContext,
	ports: Ports,
): Promise<Outcome> {
	const { sharedPools, pool } = ports;
	const status = sharedPools.status();
	if (!status) return { failure: texts.needsPool() };
	if (status.role === "runner") return { failure: texts.keepersOnly(status, "adding accounts") };
	const choice = await choose(named, "", ctx, ports);
	if (choice.kind !== "chosen") return { failure: choice.kind === "failed" ? choice.failure : texts.NOTHING_SHARED };
	const ids = choice.accounts.map(({ id }) => id);
	await withPatience(ctx, (signal) => sharedPools.add(ids, signal));
	pool.emit({ type: "changed" });
	const json = poolAsJson(sharedPools.status(), pool.accounts());
	return { text: texts.added(status, choice.accounts), json, asJson };
}

type Choice =
	| { readonly kind: "chosen"; readonly accounts: readonly Account[] }
	| { readonly kind: "none" | "cancelled" }
	| { readonly kind: "failed"; readonly failure: string };

/** Returns the accounts to move: those that were named, or those that the person chooses. */
async function choose(named: Named, heading: string, ctx: CommandContext, { pool }: Ports): Promise<Choice> {
	const { offered, rest } = shareable(pool.accounts());
	const failed = (failure: string): Choice => ({ kind: "failed", failure });
	if (named && named !== ALL) {
		const refused = named.flatMap((account): Unshareable[] => {
			const reason = whyUnshareable(account);
			return reason === undefined ? [] : [{ account, reason }];
		});
		return refused.length > 0 ? failed(texts.cannotShare(refused)) : { kind: "chosen", accounts: named };
	}
	if (offered.length === 0) return failed(texts.nothingToShare(rest));
	if (named === ALL) return { kind: "chosen", accounts: offered };
	if (!ctx.host.hasUI) return failed(texts.nameAccounts(offered));
	if (rest.length > 0) ctx.host.ui.notify(texts.notOffered(rest), "info");
	const checklist = texts.checklistOf(offered, heading);
	const chosen = await askToTick(ctx, checklist, `${offered[0]?.label}. ${checklist.note}`);
	if (chosen.kind !== "chosen") return chosen;
	// Check again for changes while the question was open, such as a sign-out.
	const current = shareable(pool.accounts()).offered.filter(({ id }) => chosen.ids.has(id));
	return current.length > 0 ? { kind: "chosen", accounts: current } : failed(texts.nothingToShare(rest));
}
