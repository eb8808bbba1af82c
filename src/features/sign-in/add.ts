import { type Account, type Credential, labelProblem } from "../../core/account.ts";
import type { Membership } from "../../core/credentials/membership.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { Clock } from "../../core/ports.ts";
import type { AfterSignIn } from "../../pi/after-sign-in.ts";
import {
	accountRef,
	type CommandContext,
	type Outcome,
	parseOptions,
	type Subcommand,
	usageError,
} from "../../pi/command.ts";
import { askToAct } from "../../pi/question.ts";
import { badLabel } from "../../ui-kit/account-texts.ts";
import { signIn } from "./dialog.ts";
import type { SignInWays } from "./ports.ts";
import { isCancelled, SignInError } from "./rules.ts";
import * as texts from "./texts.ts";

type Args =
	| { readonly kind: "sign-in"; readonly label: string | undefined; readonly onDevice: boolean }
	/** `account` is the one to restore; without it, the one removed last. */
	| { readonly kind: "undo"; readonly account?: Account };

/** What a sign-in by a command uses. */
export interface SignInPorts {
	readonly membership: Pick<Membership, "join" | "whose">;
	readonly pool: Pool;
	readonly clock: Clock;
	readonly signInWays: SignInWays;
	readonly afterSignIn: AfterSignIn;
}

interface Ports extends SignInPorts {
	readonly membership: Pick<Membership, "join" | "restore" | "whose">;
	/** True if pi has a Codex login of its own, of any kind. */
	readonly hasPiLogin: () => boolean;
}

/** `/multicodex add`: signs in to another account, or restores the one that was removed last. */
export function createAdd(ports: Ports): Subcommand<Args> {
	const usage = "add [label] [--device] | add --undo";
	return {
		name: "add",
		usage,
		summary: "sign in to one more account; put back the last one removed",
		// A panel passes the account that it removed, since another process may have removed one since.
		onAccount: { args: (account) => ({ kind: "undo", account }) },
		complete: (before) => {
			const device = { value: "--device", label: "--device", description: "with a code to type on another device" };
			const undo = { value: "--undo", label: "--undo", description: "put back the account that was removed last" };
			if (before.length === 0) return [device, undo];
			return before.some((word) => word.startsWith("--")) ? [] : [device];
		},
		parse: (words) => {
			const given = parseOptions(words, ["--device", "--undo"], usage);
			if ("failure" in given) return given;
			const { options, rest } = given;
			if (options.has("--undo")) return words.length === 1 ? { kind: "undo" } : usageError(usage);
			const label = rest.length > 0 ? rest.join(" ").trim() : undefined;
			const problem = label === undefined ? undefined : problemOf(label, ports.pool.accounts());
			if (problem !== undefined) return { failure: problem };
			return { kind: "sign-in", label, onDevice: options.has("--device") };
		},
		run: (args, ctx) => (args.kind === "undo" ? undo(args.account, ctx, ports) : addBySignIn(args, ctx, ports)),
	};
}

/** Signs in and adds the account. A known account gets the new sign-in. */
export function addBySignIn(
	{ label, onDevice }: { readonly label: string | undefined; readonly onDevice: boolean },
	ctx: CommandContext,
	ports: SignInPorts,
): Promise<Outcome> {
	const title = "Sign in to one more Codex account";
	return storeSignIn({ title, onDevice, label, asked: undefined }, ctx, ports);
}

/** The purpose of a sign-in. */
interface SignInGoal {
	readonly title: string;
	readonly onDevice: boolean;
	/** The label for a new account. */
	readonly label?: string | undefined;
	/** The account that is meant. The person is asked before a sign-in to another one is stored. */
	readonly asked: Account | undefined;
}

/** Lets the person sign in, and stores the account that the token names, whatever was typed. */
export async function storeSignIn(
	{ title, onDevice, label, asked }: SignInGoal,
	ctx: CommandContext,
	ports: SignInPorts,
): Promise<Outcome> {
	const { membership, pool } = ports;
	const nothing = { text: "Nothing was changed.", json: { account: null } };
	try {
		const credential = await signIn(ctx, { title, onDevice }, ports.signInWays);
		const owner = membership.whose(credential);
		if (!owner) return { failure: texts.unusableSignIn() };
		const { email, plan } = owner.identity;
		const who = { email, plan, known: owner.account };
		if (asked && asked.id !== owner.identity.id) {
			if (!ctx.host.hasUI) return { failure: texts.otherAccountRefused(asked, who) };
			const answer = await askToAct(ctx, texts.otherAccountQuestion(asked, who));
			if (answer !== "act") return { ...nothing, isCancelled: answer === "cancelled" };
		}
		const { account, isStored } = await joinSurely(credential, label, ports);
		if (!account) return { failure: texts.unusableSignIn() };
		const { modelAdvice, usageOf } = await ports.afterSignIn([account], ctx);
		const isNew = owner.account === undefined;
		const done = texts.joined(account, {
			isNew,
			isForNew: asked === undefined,
			total: pool.accounts().length,
			usage: usageOf(account),
			now: ports.clock.now(),
			modelAdvice,
		});
		return {
			text: `${isStored ? "" : texts.notStoredYet()}${done}`,
			json: { account: accountRef(account), isNew },
		};
	} catch (error) {
		if (isCancelled(error)) return { ...nothing, isCancelled: true };
		if (error instanceof SignInError) return { failure: error.message };
		throw error;
	}
}

/** A sign-in that could not be written is kept in memory and retried. It is not lost as long as pi runs. */
async function joinSurely(
	credential: Credential,
	label: string | undefined,
	{ membership, pool }: SignInPorts,
): Promise<{ readonly account: Account | undefined; readonly isStored: boolean }> {
	try {
		return { account: await membership.join(credential, { source: "login", label }), isStored: true };
	} catch (error) {
		const kept = membership.whose(credential)?.account;
		if (kept?.credential.access !== credential.access) throw error;
		pool.emit({ type: "changed" });
		return { account: kept, isStored: false };
	}
}

async function undo(
	wanted: Account | undefined,
	ctx: CommandContext,
	{ membership, afterSignIn, hasPiLogin }: Ports,
): Promise<Outcome> {
	const account = await membership.restore(wanted?.id);
	if (!account) return { failure: texts.nothingToRestore(wanted) };
	const { modelAdvice } = await afterSignIn([account], ctx);
	return {
		text: `${texts.restored(account, hasPiLogin())}${modelAdvice}`,
		json: { account: accountRef(account) },
	};
}

function problemOf(label: string, accounts: readonly Account[]): string | undefined {
	const known = accounts.find((account) => account.label === label);
	if (known) return texts.labelTakenByAdd(known);
	const problem = badLabel(label, labelProblem(label));
	return problem && `${problem} Nothing was changed.`;
}
