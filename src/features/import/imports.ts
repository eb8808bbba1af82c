import { type Account, labelProblem } from "../../core/account.ts";
import { IMPORTED, type ToolName } from "../../core/account-source.ts";
import type { Membership } from "../../core/credentials/membership.ts";
import { accountOf, grouped } from "../../core/identity.ts";
import type { AccountStore, Clock, TokenReader } from "../../core/ports.ts";
import { type Finding, type FoundLogin, type ImportPlan, isTaken, type Owner, planImport } from "./rules.ts";

/** Looks for sign-ins that other tools keep. Reads only; never throws for what it finds. */
export interface ImportFinder {
	/** Tools that can be named, in the order in which they are looked at. */
	readonly tools: readonly ToolName[];
	/** What one tool keeps, or all of them. */
	find(tool: ToolName | undefined): Promise<Finding[]>;
	/** What a file or a folder holds; undefined where there is no such thing. */
	read(path: string): Promise<Finding[] | undefined>;
}

/** Takes accounts over from other tools. */
export interface Imports {
	readonly tools: readonly ToolName[];
	/** What would be done with what one tool, or all, keep. Changes nothing. */
	lookIn(tool: ToolName | undefined): Promise<ImportPlan>;
	/** The same for a file or a folder; undefined where there is none. */
	lookAt(path: string): Promise<ImportPlan | undefined>;
	/** Carries a plan out; the accounts that were added or renewed. */
	take(plan: ImportPlan): Promise<Account[]>;
}

interface Deps {
	readonly finder: ImportFinder;
	readonly accounts: AccountStore;
	readonly membership: Membership;
	readonly tokens: TokenReader;
	readonly clock: Clock;
}

/** Creates it over a finder. */
export function createImports({ finder, accounts, membership, tokens, clock }: Deps): Imports {
	/** Whose each sign-in is. One of them may prove that others, or accounts that are here, are the same one. */
	const ownersOf = (logins: readonly FoundLogin[]): ReadonlyMap<FoundLogin, Owner> => {
		const known = logins.flatMap((found) => {
			const identity = tokens.identify(found.credential.access);
			return identity ? [{ found, identity, account: accountOf(accounts.list(), identity) }] : [];
		});
		const owners = new Map<FoundLogin, Owner>();
		for (const group of grouped(known, ({ identity, account }) => (account ? [identity, account] : [identity]))) {
			const id = group.find(({ account }) => account)?.account?.id ?? group[0]?.identity.id ?? "";
			for (const { found, identity } of group) owners.set(found, { id, email: identity.email });
		}
		return owners;
	};
	const plan = (findings: readonly Finding[]) => {
		const owners = ownersOf(findings.filter((finding) => finding.kind === "login"));
		const reader = { identify: (found: FoundLogin) => owners.get(found), issuedAt: tokens.issuedAt };
		return planImport(findings, accounts.list(), reader, clock.now());
	};

	return {
		tools: finder.tools,
		lookIn: async (tool) => plan(await finder.find(tool)),
		lookAt: async (path) => {
			const findings = await finder.read(path);
			return findings && plan(findings);
		},
		take: async ({ planned }) => {
			const taken: Account[] = [];
			for (const plan of planned) {
				const { credential, tool, name } = plan.found;
				if (!isTaken(plan)) {
					// It may still prove that two accounts here are one.
					if (plan.account) await membership.recognise(credential);
					continue;
				}
				const joining = { source: `${IMPORTED}${tool}`, label: labelIn(name) };
				const account = await membership.join(credential, joining);
				// Another process may have stored a newer sign-in of this account meanwhile.
				if (account?.credential.access === credential.access) taken.push(account);
			}
			return taken;
		},
	};
}

/** What a tool calls a login, where it can be a label; an e-mail is not one, since labels are shown everywhere. */
function labelIn(name: string | undefined): string | undefined {
	return name === undefined || name.includes("@") || labelProblem(name) ? undefined : name;
}
