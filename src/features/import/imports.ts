import { type Account, labelProblem } from "../../core/account.ts";
import { IMPORTED, type ToolName } from "../../core/account-source.ts";
import type { Membership } from "../../core/credentials/membership.ts";
import { whySpent } from "../../core/credentials/spent-tokens.ts";
import { accountOf, grouped } from "../../core/identity.ts";
import type { AccountStore, Clock, StateStore, TokenReader } from "../../core/ports.ts";
import {
	type Finding,
	type FoundLogin,
	type ImportPlan,
	type ImportReader,
	isTaken,
	type Owner,
	planImport,
} from "./rules.ts";

/** Searches for sign-ins of other tools. Only reads, and never throws because of what it finds. */
export interface ImportFinder {
	/** Tools that can be named, in the order of the search. */
	readonly tools: readonly ToolName[];
	/** Finds what one tool stores, or all of them. */
	find(tool: ToolName | undefined): Promise<Finding[]>;
	/** Reads a file or a folder; undefined if it does not exist. */
	read(path: string): Promise<Finding[] | undefined>;
}

/** Imports accounts from other tools. */
export interface Imports {
	readonly tools: readonly ToolName[];
	/** Plans the import of what one tool stores, or all of them. Changes nothing. */
	lookIn(tool: ToolName | undefined): Promise<ImportPlan>;
	/** Plans the import of a file or a folder; undefined if it does not exist. */
	lookAt(path: string): Promise<ImportPlan | undefined>;
	/** Carries out a plan. Returns the accounts that were added or renewed. */
	take(plan: ImportPlan): Promise<Account[]>;
}

interface Deps {
	readonly finder: ImportFinder;
	readonly accounts: AccountStore;
	readonly state: Pick<StateStore, "status">;
	readonly membership: Membership;
	readonly tokens: TokenReader;
	readonly clock: Clock;
}

/** Creates the imports over a finder. */
export function createImports({ finder, accounts, state, membership, tokens, clock }: Deps): Imports {
	/** Returns whose each sign-in is. One sign-in may prove that others, or known accounts, are the same. */
	const ownersOf = (logins: readonly FoundLogin[]): ReadonlyMap<FoundLogin, Owner> => {
		const known = logins.flatMap((found) => {
			const identity = tokens.identify(found.credential.access);
			return identity ? [{ found, identity, account: accountOf(accounts.list(), identity) }] : [];
		});
		const owners = new Map<FoundLogin, Owner>();
		for (const group of grouped(known, ({ identity, account }) => (account ? [identity, account] : [identity]))) {
			const id = group.find(({ account }) => account)?.account?.id ?? group[0]?.identity.id;
			if (id === undefined) continue;
			for (const { found, identity } of group) owners.set(found, { id, email: identity.email });
		}
		return owners;
	};
	const plan = (findings: readonly Finding[]) => {
		const owners = ownersOf(findings.filter((finding) => finding.kind === "login"));
		const reader: ImportReader = {
			identify: (found) => owners.get(found),
			issuedAt: tokens.issuedAt,
			isSpent: (account, refresh) => whySpent(state, account, tokens.fingerprint(refresh)) !== undefined,
		};
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
					// The sign-in may still prove that two known accounts are one.
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

/** Returns a tool's name for a login if it can be a label. An e-mail cannot, since labels are shown everywhere. */
function labelIn(name: string | undefined): string | undefined {
	return name === undefined || name.includes("@") || labelProblem(name) ? undefined : name;
}
