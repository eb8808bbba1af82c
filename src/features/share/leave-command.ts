import type { Account } from "../../core/account.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { SharedPools } from "../../core/ports.ts";
import {
	type AccountNames,
	accountChoices,
	accountRef,
	type CommandContext,
	type Failure,
	isFailure,
	type Outcome,
	parseOptions,
	resolveAccount,
	type Subcommand,
	usageError,
} from "../../pi/command.ts";
import { askToAct } from "../../pi/question.ts";
import { withPatience } from "./patience.ts";
import * as texts from "./texts.ts";
import { takeValues } from "./words.ts";

const TAKE = "--take";
const YES = "--yes";
const FORCE = "--force";
const USAGE = `leave [${TAKE} <account>]… [${YES}] [${FORCE}]`;

interface Args {
	readonly take: readonly Account[];
	/** True if `--yes` was typed. */
	readonly isSure: boolean;
	/** True if `--force` was typed. */
	readonly isForced: boolean;
}

interface Ports extends AccountNames {
	readonly pool: Pick<Pool, "accounts" | "emit">;
	readonly sharedPools: SharedPools;
}

/** `/multicodex leave`: this machine continues with its own accounts. */
export function createLeave(ports: Ports): Subcommand<Args> {
	return {
		name: "leave",
		usage: USAGE,
		summary: "leave the shared pool; --take brings an account along",
		complete: (before) => {
			if (before.at(-1) === TAKE) return accountChoices(ports, ({ shared }) => shared === true);
			const take = { value: TAKE, label: TAKE, description: "an account that leaves the pool with this machine" };
			const yes = { value: YES, label: YES, description: "needed if no person can be asked" };
			const force = { value: FORCE, label: FORCE, description: "although the database does not have all sign-ins yet" };
			return [take, ...[yes, force].filter(({ value }) => !before.includes(value))];
		},
		parse: (words) => parseLeave(words, ports.pool),
		run: (args, ctx) => leaveNow(args, ctx, ports),
	};
}

function parseLeave(words: readonly string[], pool: Pick<Pool, "accounts">): Args | Failure {
	const valued = takeValues(words, TAKE, USAGE);
	if (isFailure(valued)) return valued;
	const given = parseOptions(valued.rest, [YES, FORCE, TAKE], USAGE);
	if (isFailure(given)) return given;
	if (given.rest.length > 0) return usageError(USAGE);
	const each = valued.values.map((word) => resolveAccount([word], pool));
	const failure = each.find(isFailure);
	if (failure) return failure;
	const take = [...new Set(each.flatMap((account) => (isFailure(account) ? [] : [account])))];
	const own = take.find(({ shared }) => !shared);
	return own
		? { failure: texts.notShared(own) }
		: { take, isSure: given.options.has(YES), isForced: given.options.has(FORCE) };
}

async function leaveNow({ take, isSure, isForced }: Args, ctx: CommandContext, ports: Ports): Promise<Outcome> {
	const { sharedPools, pool } = ports;
	const status = sharedPools.status();
	if (!status) {
		// The settings may name a pool whose code is gone.
		await sharedPools.leave([], { isForced }, ctx.signal);
		return { text: texts.LEFT_WITHOUT_CODE, json: { left: null, taken: [] } };
	}
	if (status.joinedBy === "environment") return { failure: texts.isByEnvironment() };
	if (status.role === "runner" && take.length > 0) {
		return { failure: texts.keepersOnly(status, "taking an account out of the pool") };
	}
	const leaving = leavingWith(take, pool.accounts());
	if (!ctx.host.hasUI && !isSure) return { failure: texts.leaveNeedsYes(status) };
	if (ctx.host.hasUI) {
		const answer = await askToAct(ctx, texts.leaveQuestion(status, leaving));
		const isCancelled = answer === "cancelled";
		if (answer !== "act") return { text: texts.STAYED, json: { left: null, taken: [] }, isCancelled };
	}
	const ids = take.map(({ id }) => id);
	const leave = (isForcedNow: boolean) =>
		withPatience(ctx, (signal) => sharedPools.leave(ids, { isForced: isForcedNow }, signal));
	const first = await leave(isForced);
	if (first.kind === "waiting") {
		if (!ctx.host.hasUI) return { failure: texts.leaveNeedsForce(first) };
		const answer = await askToAct(ctx, texts.forceQuestion(status, first));
		const isCancelled = answer === "cancelled";
		if (answer !== "act") return { text: texts.STAYED, json: { left: null, taken: [] }, isCancelled };
		await leave(true);
	}
	pool.emit({ type: "changed" });
	// Accounts that were renewed only here have stayed.
	const kept = pool.accounts().filter(({ id, shared }) => !shared && leaving.going.some((each) => each.id === id));
	return {
		text: texts.left(status, { ...leaving, own: [...leaving.own, ...kept] }),
		json: { left: status.name, taken: take.map(accountRef) },
	};
}

function leavingWith(taken: readonly Account[], accounts: readonly Account[]): texts.Leaving {
	const isTaken = ({ id }: Account) => taken.some((account) => account.id === id);
	return {
		own: accounts.filter(({ shared }) => !shared),
		going: accounts.filter((account) => account.shared && !isTaken(account)),
		taken: accounts.filter(isTaken),
	};
}
