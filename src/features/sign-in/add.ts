import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { type Account, type Credential, labelProblem } from "../../core/account.ts";
import {
	accountRef,
	type Outcome,
	parseOptions,
	type Subcommand,
	type SubcommandDeps,
	usageError,
} from "../../pi/command.ts";
import { askToAct } from "../../pi/question.ts";
import * as messages from "../../ui-kit/messages.ts";
import { afterAccountsAdded } from "./after-sign-in.ts";
import { signIn } from "./dialog.ts";
import { isCancelled, SignInError } from "./rules.ts";

/** `/multicodex add`: sign in to one more account, or put back the one that was removed last. */
export const add: Subcommand = {
	name: "add",
	usage: "add [label] [--device] | add --undo",
	summary: "sign in to one more account; put back the last one removed",
	complete: (_deps, before) => {
		const device = { value: "--device", label: "--device", description: "with a code to type on another device" };
		const undo = { value: "--undo", label: "--undo", description: "put back the account that was removed last" };
		if (before.length === 0) return [device, undo];
		return before.some((word) => word.startsWith("--")) ? [] : [device];
	},
	run: async (words, ctx, deps) => {
		const given = parseOptions(words, ["--device", "--undo"], add);
		if ("failure" in given) return given;
		const { options, rest } = given;
		if (options.has("--undo")) return words.length === 1 ? undo(ctx, deps) : usageError(add);
		const label = rest.length > 0 ? rest.join(" ").trim() : undefined;
		const problem = label === undefined ? undefined : problemOf(label, deps.pool.accounts());
		if (problem !== undefined) return { failure: problem };
		return addBySignIn({ label, onDevice: options.has("--device") }, ctx, deps);
	},
};

/** Signs in and adds whoever that is; an account that is here already gets the new sign-in. */
export async function addBySignIn(
	{ label, onDevice }: { readonly label: string | undefined; readonly onDevice: boolean },
	ctx: ExtensionCommandContext,
	deps: SubcommandDeps,
): Promise<Outcome> {
	const title = "Sign in to one more Codex account";
	return storeSignIn({ title, onDevice, label, asked: undefined }, ctx, deps);
}

/** What a sign-in is for. */
interface SignInGoal {
	readonly title: string;
	readonly onDevice: boolean;
	/** How a new account is to be called. */
	readonly label?: string | undefined;
	/** The account that is meant; whoever else signs in is asked about first. */
	readonly asked: Account | undefined;
}

/** Lets the person sign in and stores whom the token names, whatever was typed. */
export async function storeSignIn(
	{ title, onDevice, label, asked }: SignInGoal,
	ctx: ExtensionCommandContext,
	deps: SubcommandDeps,
): Promise<Outcome> {
	const { membership, pool, signal } = deps;
	const nothing = { text: "Nothing was changed.", json: { account: null } };
	try {
		const credential = await signIn(ctx, { title, onDevice, signal }, deps.signInWays);
		const told = membership.whose(credential);
		if (!told) return { failure: messages.unusableSignIn() };
		const { email, plan } = told.identity;
		const who = { email, plan, known: told.account };
		if (asked && asked.id !== told.identity.id) {
			if (!ctx.hasUI) return { failure: messages.otherAccountRefused(asked, who) };
			const answer = await askToAct(ctx, messages.otherAccountQuestion(asked, who), signal);
			if (answer !== "act") return { ...nothing, isCancelled: answer === "cancelled" };
		}
		const { account, isStored } = await joinSurely(credential, label, deps);
		if (!account) return { failure: messages.unusableSignIn() };
		const { modelAdvice, usageOf } = await afterAccountsAdded([account], ctx, deps);
		const isNew = told.account === undefined;
		const done = messages.joined(account, {
			isNew,
			isForNew: asked === undefined,
			total: pool.accounts().length,
			usage: usageOf(account),
			now: deps.clock.now(),
			modelAdvice,
		});
		return {
			text: `${isStored ? "" : messages.notStoredYet()}${done}`,
			json: { account: accountRef(account), isNew },
		};
	} catch (error) {
		if (isCancelled(error)) return { ...nothing, isCancelled: true };
		if (error instanceof SignInError) return { failure: error.message };
		throw error;
	}
}

/** A sign-in that could not be written is kept in memory, which tries again: it is not lost as long as pi runs. */
async function joinSurely(
	credential: Credential,
	label: string | undefined,
	{ membership, pool }: SubcommandDeps,
): Promise<{ readonly account: Account | undefined; readonly isStored: boolean }> {
	try {
		return { account: await membership.join(credential, { source: "login", label }), isStored: true };
	} catch (error) {
		const kept = membership.whose(credential)?.account;
		if (kept?.credential.refresh !== credential.refresh) throw error;
		pool.emit({ type: "changed" });
		return { account: kept, isStored: false };
	}
}

async function undo(ctx: ExtensionCommandContext, deps: SubcommandDeps): Promise<Outcome> {
	const account = await deps.membership.restore();
	if (!account) return { failure: "There is no removed account to put back." };
	const { modelAdvice } = await afterAccountsAdded([account], ctx, deps);
	return {
		text: `${messages.restored(account, deps.hasPiLogin())}${modelAdvice}`,
		json: { account: accountRef(account) },
	};
}

function problemOf(label: string, accounts: readonly Account[]): string | undefined {
	const known = accounts.find((account) => account.label === label);
	if (known) return messages.labelTakenByAdd(known);
	const problem = messages.badLabel(label, labelProblem(label));
	return problem && `${problem} Nothing was changed.`;
}
