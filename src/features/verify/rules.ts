import type { Account } from "../../core/account.ts";
import type { LinkObstacle } from "../../core/beyond/chain.ts";
import { accountWith } from "../../core/identity.ts";
import type { AccountId } from "../../core/ids.ts";
import { expiresSoon, type ResetCredit } from "../../core/reset-credits/reset-credits.ts";
import type { SharedPoolStatus } from "../../core/shared-pool.ts";
import { isBefore, offersPlanLogin } from "../../pi/host-version.ts";

/** How serious a finding is. A `problem` keeps accounts from being used. */
export type Level = "ok" | "note" | "warning" | "problem";

/** A file that we or pi keep in the agent directory. */
export interface FileFact {
	readonly name: string;
	/** `pi`: pi writes it too, and only a person repairs it. */
	readonly owner: "us" | "pi";
	readonly content: "good" | "missing" | "unreadable" | "broken" | "newer" | "older";
	readonly bytes: number;
	/** Number of rows that this version cannot read. */
	readonly unreadableRows: number;
}

/** A file or directory that may contain a login, with its permission bits; undefined if there are none (Windows). */
export interface EntryFact {
	readonly name: string;
	readonly kind: "directory" | "file" | "quarantined" | "leftover";
	readonly mode: number | undefined;
}

/** A lock that a process holds or has left behind. */
export interface LockFact {
	readonly name: string;
	/** Time since it was last touched, negative for a date in the future. A live holder touches it every few seconds. */
	readonly ageMs: number;
	/** True if it is not an empty folder, which every holder creates. */
	readonly isStrange: boolean;
	/** Age from which any process may take it over. */
	readonly staleMs: number;
}

/** What is in the agent directory. */
export interface DiskFacts {
	readonly files: readonly FileFact[];
	readonly entries: readonly EntryFact[];
	readonly locks: readonly LockFact[];
	readonly isWritable: boolean;
	/** Files that are links into another folder which is not writable. `target` is the real path. */
	readonly readOnly?: readonly { readonly name: string; readonly target: string }[];
	readonly accounts: readonly Account[];
	readonly piLogin: {
		readonly kind: "oauth" | "foreign" | "none" | "unreadable";
		/** The account of the login, and its refresh token. */
		readonly owner: AccountId | undefined;
		readonly refresh: string | undefined;
	};
	/** True if pi is also signed in with ChatGPT under its provider `openai`. */
	readonly hasPlanLogin?: boolean;
	/** Problems with preferences, as whole sentences. */
	readonly settings: readonly string[];
}

/** The answer of one endpoint to a request without a token. */
export interface EndpointFact {
	readonly name: "backend" | "issuer";
	/** Why tokens may not be sent there. */
	readonly refusal: string | undefined;
	/** Node's code for a certificate that is not trusted on this machine. */
	readonly untrusted?: string | undefined;
	/** Undefined if there was no answer in time. */
	readonly status: number | undefined;
	/** True if it asks for proof that a person is there. */
	readonly isChallenge: boolean;
	/** Its clock minus ours, ms. */
	readonly skewMs: number | undefined;
}

/** A repair: permissions narrowed, a stale lock or leftover removed, or a broken file moved aside. */
export interface Repair {
	readonly kind: "permissions" | "lock" | "leftover" | "set-aside";
	/** The file's name; for a broken one, the name under which it is kept. */
	readonly subject: string;
}

/** A stored account set, and which of its accounts exist. */
export interface SetFact {
	readonly folder: string;
	readonly isThere: boolean;
	/** True if it applies to the session. */
	readonly holds: boolean;
	/** Its accounts in the pool, and the number of those that are not. */
	readonly present: readonly AccountId[];
	readonly gone: number;
}

/** A stored cap. */
export interface CapFact {
	/** The id under which it is stored. */
	readonly id: AccountId;
	/** Such as `7d`. */
	readonly window: string;
	readonly floorPercent: number;
	/** True if the account does not serve now because of it. */
	readonly isReached: boolean;
	/** True if the account reports that window; undefined if its usage is unknown. */
	readonly isReported: boolean | undefined;
}

/** Everything that {@link diagnose} judges. */
export interface HealthFacts extends DiskFacts {
	/** Epoch ms. */
	readonly now: number;
	readonly isEnabled: boolean;
	/** Undefined if they were not asked. */
	readonly endpoints: readonly EndpointFact[] | undefined;
	/** Version of the running pi; undefined for the program without pi. */
	readonly hostVersion: string | undefined;
	/** The Node that pi runs on. */
	readonly nodeVersion: string | undefined;
	/** True if the session's model belongs to pi's provider `openai` and is served by that sign-in. */
	readonly isOnPlanLogin?: boolean;
	/** True in a checkout, which pi transpiles; false in the package from npm. */
	readonly isFromSource?: boolean;
	/** Whether another extension has registered over the same provider, as far as the host shows. */
	readonly rival: "none" | "another" | "not-visible" | undefined;
	readonly sets?: readonly SetFact[];
	readonly caps?: readonly CapFact[];
	/** The present links of the chain, and whether this host has the virtual model that uses them. */
	readonly chain?: {
		readonly isAvailable: boolean;
		readonly links: readonly { readonly name: string; readonly obstacle: LinkObstacle | undefined }[];
	};
	/** This machine's shared pool, after a check of its database. */
	readonly sharedPool?: SharedPoolStatus | undefined;
	/** Number of our own defects in the log. */
	readonly defects: number;
	/** Known reset credits of enabled accounts. */
	readonly resetCredits?: readonly { readonly account: AccountId; readonly credit: ResetCredit }[];
	/** Names of the variables in effect. */
	readonly environment: readonly string[];
}

/** Every possible finding. `view.ts` has the words for each. */
export type FindingCode =
	| "file-good"
	| "file-unreadable"
	| "file-broken"
	| "file-newer"
	| "file-older"
	| "rows-strange"
	| "directory-unwritable"
	| "file-read-only"
	| "permissions-good"
	| "permissions-wide"
	| "leftover"
	| "quarantined"
	| "lock-held"
	| "lock-stale"
	| "lock-ahead"
	| "lock-strange"
	| "pool-empty"
	| "pool-unusable"
	| "sign-ins-good"
	| "tokens-due"
	| "sign-in-lost"
	| "sign-in-shared"
	| "account-off"
	| "link-gone"
	| "link-behind"
	| "link-elsewhere"
	| "link-twice"
	| "link-unusable"
	| "pi-key"
	| "plan-login"
	| "plan-login-used"
	| "endpoint-good"
	| "endpoint-unknown"
	| "endpoint-refused"
	| "endpoint-silent"
	| "endpoint-untrusted"
	| "endpoint-failing"
	| "endpoint-challenge"
	| "clock-good"
	| "clock-wrong"
	| "host-tried"
	| "host-untried"
	| "host-old"
	| "node-good"
	| "from-source"
	| "node-old"
	| "rival-none"
	| "rival-another"
	| "rival-not-visible"
	| "switched-off"
	| "chain-good"
	| "chain-no-host"
	| "chain-unknown"
	| "chain-virtual"
	| "chain-unsigned"
	| "chain-not-offered"
	| "setting-bad"
	| "set-holds"
	| "set-empty"
	| "set-account-gone"
	| "set-folder-gone"
	| "cap-kept"
	| "cap-reached"
	| "cap-unreported"
	| "cap-account-gone"
	| "shared-good"
	| "shared-away"
	| "shared-no-listen"
	| "shared-clock"
	| "shared-journal"
	| "defects"
	| "reset-credit-ends"
	| "environment"
	| "tls-unchecked";

/** One finding. Contains no secret, no label and no e-mail. */
export interface Finding {
	readonly code: FindingCode;
	readonly level: Level;
	/** A file, lock, account id, endpoint or variable. */
	readonly subject: string | undefined;
	/** A count, or ms; depends on `code`. */
	readonly figure: number | undefined;
	/** Further words of our own. */
	readonly detail: string | undefined;
}

/** Hosts on which every test runs, oldest first. */
const TRIED_HOSTS = ["0.73.1", "0.87.1", "1.5.2", "1.6.0"] as const;

const OLDEST_NODE = "20.6.0";
/** Windows last for hours, so a clock that is off by less than this does no harm. */
const SKEW_MS = 60_000;
/** Tokens are renewed this long before they expire. */
const DUE_MS = 10 * 60_000;
const TLS_VARIABLE = "NODE_TLS_REJECT_UNAUTHORIZED";
const RANKS: Readonly<Record<Level, number>> = { problem: 0, warning: 1, note: 2, ok: 3 };

/** Returns the findings for the facts, worst first. */
export function diagnose(facts: HealthFacts): Finding[] {
	const findings = [
		...facts.files.flatMap(ofFile),
		...ofDirectory(facts),
		...(facts.readOnly ?? []).map(ofReadOnly),
		...facts.locks.map(ofLock),
		...ofAccounts(facts),
		...ofLink(facts),
		...ofPlanLogin(facts),
		...(facts.endpoints ? ofEndpoints(facts.endpoints) : []),
		...(facts.sharedPool ? ofSharedPool(facts.sharedPool) : []),
		...ofJournals(facts),
		...ofHost(facts),
		...ofChain(facts),
		...facts.settings.map((text) => finding("setting-bad", "warning", "settings.json", undefined, text)),
		...(facts.sets ?? []).flatMap(ofSet),
		...(facts.caps ?? []).map((cap) => ofCap(cap, facts.accounts)),
		...(facts.defects > 0 ? [finding("defects", "warning", "codex-events.jsonl", facts.defects)] : []),
		...(facts.resetCredits ?? []).flatMap((known) => ofResetCredit(known, facts.now)),
		...facts.environment.map(ofVariable),
	];
	return findings.sort((a, b) => RANKS[a.level] - RANKS[b.level]);
}

/** True if a finding keeps accounts from being used. */
export function hasProblem(findings: readonly Finding[]): boolean {
	return findings.some(({ level }) => level === "problem");
}

function finding(code: FindingCode, level: Level, subject?: string, figure?: number, detail?: string): Finding {
	return { code, level, subject, figure, detail };
}

function ofFile({ name, owner, content, bytes, unreadableRows }: FileFact): Finding[] {
	switch (content) {
		case "missing":
			return [];
		case "good":
			return unreadableRows > 0
				? [finding("rows-strange", "warning", name, unreadableRows)]
				: [finding("file-good", "ok", name, bytes)];
		case "older":
			return [finding("file-older", "note", name)];
		case "newer":
			return [finding("file-newer", "warning", name)];
		case "unreadable":
			return [finding("file-unreadable", "problem", name)];
		default:
			return [finding("file-broken", "problem", name, undefined, owner)];
	}
}

/** pi's login and our files are renewed all the time, settings only when a person changes them. */
function ofReadOnly({ name, target }: { readonly name: string; readonly target: string }): Finding {
	if (name === "settings.json") return finding("file-read-only", "note", name, undefined, target);
	return finding("file-read-only", name === "auth.json" ? "warning" : "problem", name, undefined, target);
}

/** True if other users may read a file or list a directory. */
function isWide({ mode }: EntryFact): boolean {
	return mode !== undefined && (mode & 0o077) !== 0;
}

function ofDirectory({ entries, isWritable }: DiskFacts): Finding[] {
	const wide = entries.filter(isWide);
	const areKnown = entries.some(({ mode }) => mode !== undefined);
	const narrow = areKnown && wide.length === 0 ? [finding("permissions-good", "ok")] : [];
	return [
		...(isWritable ? [] : [finding("directory-unwritable", "problem")]),
		...narrow,
		...wide.map(({ name, kind, mode }) =>
			// Only the files in it matter. pi itself may have created the directory like this.
			finding("permissions-wide", kind === "directory" ? "note" : "warning", name, mode),
		),
		...entries.filter(({ kind }) => kind === "leftover").map(({ name }) => finding("leftover", "warning", name)),
		...entries.filter(({ kind }) => kind === "quarantined").map(({ name }) => finding("quarantined", "note", name)),
	];
}

function ofLock({ name, ageMs, staleMs, isStrange }: LockFact): Finding {
	if (isStrange) return finding("lock-strange", "warning", name);
	if (ageMs > staleMs) return finding("lock-stale", "warning", name, ageMs);
	// If our clock is slightly behind, every lock looks like this.
	return ageMs < -staleMs
		? finding("lock-ahead", "warning", name, -ageMs)
		: finding("lock-held", "note", name, Math.abs(ageMs));
}

function ofAccounts({ accounts, now, piLogin }: HealthFacts): Finding[] {
	if (accounts.length === 0) return piLogin.kind === "none" ? [finding("pool-empty", "note")] : [];
	const on = accounts.filter(({ enabled }) => enabled);
	const usable = on.filter(({ needsLogin }) => !needsLogin);
	const due = usable.filter(({ credential }) => credential.expiresAt <= now + DUE_MS);
	const seen = new Set<string>();
	const shared = accounts.filter(({ credential: { refresh } }) => {
		const isSecond = seen.has(refresh);
		seen.add(refresh);
		return isSecond;
	});
	return [
		...(usable.length === 0 ? [finding("pool-unusable", "problem", undefined, accounts.length)] : []),
		...(usable.length > due.length ? [finding("sign-ins-good", "ok", undefined, usable.length - due.length)] : []),
		...(due.length > 0 ? [finding("tokens-due", "note", undefined, due.length)] : []),
		...on
			.filter(({ needsLogin }) => needsLogin)
			.map(({ id, needsLogin }) => finding("sign-in-lost", "warning", id, undefined, needsLogin?.reason)),
		...shared.map(({ id }) => finding("sign-in-shared", "warning", id)),
		...accounts.filter(({ enabled }) => !enabled).map(({ id }) => finding("account-off", "note", id)),
	];
}

/** Compares pi's own login with what our file says about it. */
function ofLink({ accounts, piLogin: { kind, owner, refresh } }: DiskFacts): Finding[] {
	if (kind === "unreadable") return [];
	const linked = accounts.filter((account) => account.linked);
	const gone = linked.filter(({ id }) => id !== owner);
	const behind = linked.filter(({ id, credential }) => id === owner && credential.refresh !== refresh);
	return [
		...(kind === "foreign" ? [finding("pi-key", "note", "auth.json")] : []),
		...(kind === "oauth" && owner === undefined ? [finding("link-unusable", "warning", "auth.json")] : []),
		...(linked.length > 1 ? [finding("link-twice", "warning", undefined, linked.length)] : []),
		...gone.map(({ id }) => finding("link-gone", "note", id)),
		...behind.map(({ id }) => finding("link-behind", "note", id)),
		...accounts.flatMap(({ id, linkedElsewhere }) => (linkedElsewhere ? [finding("link-elsewhere", "note", id)] : [])),
	];
}

/** Such a sign-in never passes through us, and pi's default model uses it if both exist. */
function ofPlanLogin({ hasPlanLogin = false, isOnPlanLogin = false, hostVersion }: HealthFacts): Finding[] {
	if (!hasPlanLogin || hostVersion === undefined || !offersPlanLogin(hostVersion)) return [];
	return [isOnPlanLogin ? finding("plan-login-used", "warning", "openai") : finding("plan-login", "note", "openai")];
}

function ofEndpoints(endpoints: readonly EndpointFact[]): Finding[] {
	const isBackendKnown = endpoints.some(({ name }) => name === "backend");
	return [
		...endpoints.map(ofEndpoint),
		...(isBackendKnown ? [] : [finding("endpoint-unknown", "note", "backend")]),
		...ofClock(endpoints),
	];
}

function ofEndpoint({ name, refusal, untrusted, status, isChallenge }: EndpointFact): Finding {
	if (refusal !== undefined) return finding("endpoint-refused", "problem", name, undefined, refusal);
	if (untrusted !== undefined) return finding("endpoint-untrusted", "problem", name, undefined, untrusted);
	if (status === undefined) return finding("endpoint-silent", "problem", name);
	if (isChallenge) return finding("endpoint-challenge", "warning", name);
	return status >= 500 ? finding("endpoint-failing", "warning", name, status) : finding("endpoint-good", "ok", name);
}

/** Uses the largest difference: a nearer endpoint does not reduce it. */
function ofClock(endpoints: readonly EndpointFact[]): Finding[] {
	const skews = endpoints.flatMap(({ skewMs }) => (skewMs === undefined ? [] : [skewMs]));
	if (skews.length === 0) return [];
	const worst = skews.reduce((most, next) => (Math.abs(next) > Math.abs(most) ? next : most));
	const isWrong = Math.abs(worst) > SKEW_MS;
	return [finding(isWrong ? "clock-wrong" : "clock-good", isWrong ? "warning" : "ok", undefined, worst)];
}

/** An unreachable database may come back by itself. Anything else needs a person. */
function ofSharedPool({ connection, clockAheadMs = 0, others }: SharedPoolStatus): Finding[] {
	const isOff = Math.abs(clockAheadMs) > SKEW_MS;
	const clock = isOff ? [finding("shared-clock", "warning", undefined, clockAheadMs)] : [];
	if (connection.kind === "away") {
		const level = connection.problem === "away" ? "warning" : "problem";
		return [finding("shared-away", level, connection.problem, connection.since, connection.text), ...clock];
	}
	if (connection.kind === "unknown") return clock;
	const isDeaf = connection.kind === "connected" && connection.listens === false;
	return [
		finding("shared-good", "ok", undefined, others.length),
		...(isDeaf ? [finding("shared-no-listen", "note")] : []),
		...clock,
	];
}

const JOURNAL = /\.journal$/;

/** Renewed tokens on this machine that the database may not have. */
function ofJournals({ entries }: DiskFacts): Finding[] {
	const journals = entries.filter(({ name, kind }) => kind === "file" && JOURNAL.test(name));
	return journals.length > 0 ? [finding("shared-journal", "warning", undefined, journals.length)] : [];
}

function ofHost({ hostVersion, nodeVersion, rival, isEnabled, isFromSource = false }: HealthFacts): Finding[] {
	const rivals = {
		none: finding("rival-none", "ok"),
		another: finding("rival-another", "warning"),
		"not-visible": finding("rival-not-visible", "note"),
	};
	return [
		...(hostVersion === undefined ? [] : [ofVersion(hostVersion)]),
		...(nodeVersion === undefined ? [] : [ofNode(nodeVersion)]),
		...(isFromSource ? [finding("from-source", "note")] : []),
		// Nothing of ours is registered while the extension is switched off.
		...(isEnabled ? [] : [finding("switched-off", "note")]),
		...(isEnabled && rival !== undefined ? [rivals[rival]] : []),
	];
}

function ofVersion(host: string): Finding {
	if (TRIED_HOSTS.some((tried) => tried === host)) return finding("host-tried", "ok", host);
	return isBefore(host, TRIED_HOSTS[0]) ? finding("host-old", "warning", host) : finding("host-untried", "note", host);
}

function ofNode(node: string): Finding {
	const isOld = isBefore(node, OLDEST_NODE);
	return finding(isOld ? "node-old" : "node-good", isOld ? "problem" : "ok", node);
}

function ofSet({ folder, isThere, holds, present, gone }: SetFact): Finding[] {
	// No session runs in a missing folder, but a link or another checkout may replace it.
	if (!isThere) return [finding("set-folder-gone", "warning", undefined, undefined, folder)];
	const isEmpty = present.length === 0;
	return [
		...(holds && !isEmpty ? [finding("set-holds", "note", undefined, present.length, folder)] : []),
		...(isEmpty ? [finding("set-empty", holds ? "problem" : "warning", undefined, undefined, folder)] : []),
		...(gone > 0 && !isEmpty ? [finding("set-account-gone", "warning", undefined, gone, folder)] : []),
	];
}

function ofCap({ id, window, floorPercent, isReached, isReported }: CapFact, accounts: readonly Account[]): Finding {
	if (!accountWith(accounts, id)) return finding("cap-account-gone", "warning", id, floorPercent, window);
	if (isReached) return finding("cap-reached", "note", id, floorPercent, window);
	const code = isReported === false ? "cap-unreported" : "cap-kept";
	return finding(code, "note", id, floorPercent, window);
}

/** What keeps a link from ever being asked. Temporary obstacles are not findings. */
const CHAIN_CODES: Partial<Record<LinkObstacle, FindingCode>> = {
	"unknown-model": "chain-unknown",
	virtual: "chain-virtual",
	"no-credentials": "chain-unsigned",
	"not-offered": "chain-not-offered",
};

function ofChain({ chain }: HealthFacts): Finding[] {
	if (!chain || chain.links.length === 0) return [];
	const bad = chain.links.flatMap(({ name, obstacle }) => {
		const code = obstacle && CHAIN_CODES[obstacle];
		return code ? [finding(code, "warning", name)] : [];
	});
	const good = chain.links.length - bad.length;
	return [
		...bad,
		...(good > 0 ? [finding("chain-good", "ok", undefined, good)] : []),
		...(chain.isAvailable ? [] : [finding("chain-no-host", "note")]),
	];
}

/** A credit that will soon be lost unless it is redeemed. `figure` is when, epoch ms. */
function ofResetCredit(
	{ account, credit }: { readonly account: AccountId; readonly credit: ResetCredit },
	now: number,
): Finding[] {
	return expiresSoon(credit, now) ? [finding("reset-credit-ends", "note", account, credit.expiresAt)] : [];
}

function ofVariable(name: string): Finding {
	return name === TLS_VARIABLE ? finding("tls-unchecked", "warning", name) : finding("environment", "note", name);
}
