import { type Account, printable } from "../../core/account.ts";
import type { VerifyDocument } from "../../pi/json-schemas.ts";
import { whySignedOut } from "../../ui-kit/account-texts.ts";
import { asWord, formatDuration, formatPast, plural, windowLabel } from "../../ui-kit/format.ts";
import { type Finding, type FindingCode, hasProblem, type Level, type Repair } from "./rules.ts";

/** The words for a finding, and what to do about it: a sentence, or a command to type. */
interface Words {
	readonly text: string;
	readonly advice?: string;
}

/** A finding, with the label of its account or with its folder, if it is about one. */
interface Told extends Finding {
	readonly account: string;
	/** The folder that it is about. A JSON document gets none, since it contains no path. */
	readonly folder: string;
}

const FIX = "/multicodex verify --fix";
const SIGN_IN = "/multicodex login";

/** The words for every finding. A new code is one entry here. */
const WORDS: Readonly<Record<FindingCode, (told: Told) => Words>> = {
	"file-good": ({ subject, figure }) => ({ text: `${subject} can be read (${sizeText(figure)}).` }),
	"file-unreadable": ({ subject }) => ({
		text: `${subject} cannot be opened, or is not a regular file.`,
		advice: `Make yourself its owner, or move away whatever has that name, then ${FIX}`,
	}),
	"file-broken": ({ subject, detail }) => ({
		text: `${subject} is damaged and cannot be read.`,
		advice:
			detail === "us"
				? `${FIX} keeps it beside a new one.${subject === "codex-pool.json" ? " This machine then has to join its pool again: /multicodex join" : ""}`
				: "pi owns this file, so it is left alone: repair it by hand, or move it away.",
	}),
	"file-newer": ({ subject }) => ({
		text: `${subject} was written by a newer pi-multicodex, so it is left alone.`,
		advice: "pi update",
	}),
	"file-older": ({ subject }) => ({
		text: `${subject} has an older format. The next start of pi converts it and keeps a copy.`,
	}),
	"rows-strange": ({ subject, figure = 0 }) => ({
		text: `${subject} has ${plural(figure, "row")} that cannot be read. They are kept, and not used.`,
		advice: "Sign in again to the accounts that are missing: /multicodex add",
	}),
	"directory-unwritable": () => ({
		text: "The agent directory cannot be written: nothing can be stored, and no sign-in can be renewed.",
		advice: "Make yourself its owner. /multicodex path says where it is.",
	}),
	"file-read-only": ({ subject, detail }) => ({
		text: `${subject} links to ${detail}, which cannot be written.`,
		advice:
			subject === "settings.json"
				? "Change your preferences where that file is generated."
				: "Replace the link with a regular file: otherwise no sign-in can be renewed.",
	}),
	"permissions-good": () => ({ text: "Only you can read the agent directory." }),
	"permissions-wide": ({ subject, figure = 0 }) => ({
		text: `${subject === "." ? "The agent directory" : subject} is open to other users of this machine (${figure.toString(8)}).`,
		advice: FIX,
	}),
	leftover: ({ subject }) => ({
		text: `${subject} was left behind by a pi that was killed while writing, and may contain a sign-in.`,
		advice: FIX,
	}),
	quarantined: ({ subject }) => ({
		text: `${subject} is the copy of a damaged file, and may contain sign-ins.`,
		advice: "Delete it once nothing is missing.",
	}),
	"lock-held": ({ subject, figure = 0 }) => ({
		text: `${subject} is held, and was touched ${formatDuration(figure)} ago: a program is writing.`,
	}),
	"lock-stale": ({ subject, figure = 0 }) => ({
		text: `${subject} was left behind ${formatDuration(figure)} ago by a program that has ended.`,
		advice: FIX,
	}),
	"lock-ahead": ({ subject, figure = 0 }) => ({
		text: `${subject} is dated ${formatDuration(figure)} ahead: a program whose clock was wrong left it.`,
		advice: FIX,
	}),
	"lock-strange": ({ subject }) => ({
		text: `${subject} is not an empty folder: it is not a lock, and it prevents one.`,
		advice: FIX,
	}),
	"pool-empty": () => ({ text: "No Codex account is signed in.", advice: "/multicodex add" }),
	"pool-unusable": ({ figure = 0 }) => ({
		text: figure === 1 ? "The only account cannot be used." : `None of ${plural(figure, "account")} can be used.`,
		advice: SIGN_IN,
	}),
	"sign-ins-good": ({ figure = 0 }) => ({
		text: `${plural(figure, "account")} ${figure === 1 ? "is" : "are"} signed in with a valid token.`,
	}),
	"tokens-due": ({ figure = 0 }) => ({
		text: `The token of ${plural(figure, "account")} has expired or is about to. It is renewed at its next use.`,
	}),
	"sign-in-lost": ({ account, detail }) => ({
		text: `${account} is signed out: ${detail}.`,
		advice: `${SIGN_IN} ${asWord(account)}`,
	}),
	"sign-in-shared": ({ account }) => ({
		text: `${account} has the same sign-in as another account: whichever renews it second is signed out.`,
		advice: `${SIGN_IN} ${asWord(account)}`,
	}),
	"account-off": ({ account }) => ({
		text: `${account} is off.`,
		advice: `/multicodex enable ${asWord(account)}`,
	}),
	"link-gone": ({ account }) => ({
		text: `${account} was pi's own login, and auth.json no longer has it. The next request corrects this.`,
	}),
	"link-behind": ({ account }) => ({
		text: `${account} is pi's own login, and auth.json has another token. The next request takes the newer one.`,
	}),
	"link-elsewhere": ({ account }) => ({
		text: `${account} is the login of a pi with another agent directory, and only that pi renews it.`,
		advice: `For a separate sign-in: ${SIGN_IN} ${asWord(account)}`,
	}),
	"link-twice": ({ figure = 0 }) => ({
		text: `${plural(figure, "account")} are marked as pi's own login, and only one can be. The next request corrects this.`,
	}),
	"link-unusable": () => ({
		text: "pi's own login names no ChatGPT workspace, so pi cannot use it.",
		advice: "Sign in again with /login.",
	}),
	"pi-key": () => ({
		text: "auth.json has an API key for openai-codex: requests use that key, and no account is rotated.",
		advice: "/logout in pi removes it.",
	}),
	"plan-login": ({ subject }) => ({
		text: `pi is also signed in with ChatGPT under its provider ${subject}. Sessions on it are not served by pi-multicodex, and pi prefers it as the default model.`,
		advice: "/model chooses a model of openai-codex, and pi keeps it as the default.",
	}),
	"plan-login-used": ({ subject }) => ({
		text: `This session uses pi's ChatGPT sign-in under its provider ${subject}, which pi-multicodex does not serve: no account is rotated.`,
		advice: "/model chooses a model of openai-codex, and pi keeps it as the default.",
	}),
	"endpoint-good": ({ subject }) => ({ text: `${capitalised(placeOf(subject))} answers.` }),
	"endpoint-unknown": () => ({
		text: "pi knows no Codex model, so the Codex backend was not asked.",
		advice: "/model",
	}),
	"endpoint-refused": ({ detail }) => ({ text: detail ?? "", advice: "Correct it, then /multicodex verify" }),
	"endpoint-silent": ({ subject }) => ({
		text: `${capitalised(placeOf(subject))} does not answer.`,
		advice: "Check the network, proxy and firewall, then /multicodex verify",
	}),
	"endpoint-untrusted": ({ subject, detail }) => ({
		text: `The certificate of ${placeOf(subject)} is not trusted (${detail}).`,
		advice: "Set NODE_EXTRA_CA_CERTS to the root certificate of your network, and restart pi.",
	}),
	"endpoint-failing": ({ subject, figure }) => ({
		text: `${capitalised(placeOf(subject))} answers ${figure}: the problem is on its side.`,
		advice: "Try again later.",
	}),
	"endpoint-challenge": ({ subject }) => ({
		text: `${capitalised(placeOf(subject))} asks for a browser check. It may refuse requests from this network.`,
		advice: "Try another network, or without a VPN.",
	}),
	"clock-good": () => ({ text: "The clock of this machine is right." }),
	"clock-wrong": ({ figure = 0 }) => ({
		text: `The clock of this machine is ${formatDuration(Math.abs(figure))} ${figure > 0 ? "slow" : "fast"}: the times of tokens and resets are wrong by as much.`,
		advice: "Set the clock.",
	}),
	"host-tried": ({ subject }) => ({ text: `pi ${subject} is tested with every release.` }),
	"host-untried": ({ subject }) => ({ text: `pi ${subject} is not among the tested versions.` }),
	"host-old": ({ subject }) => ({ text: `pi ${subject} is older than every tested version.`, advice: "pi update" }),
	"node-good": ({ subject }) => ({ text: `Node ${subject} is supported.` }),
	"node-old": ({ subject }) => ({
		text: `Node ${subject} is too old.`,
		advice: "Install Node 20.6 or newer.",
	}),
	"from-source": () => ({
		text: "pi-multicodex runs from source, as an install from git or a folder does. The package from npm starts faster.",
	}),
	"rival-none": () => ({ text: "Requests for openai-codex reach pi-multicodex." }),
	"rival-another": () => ({
		text: "Another extension has replaced openai-codex: requests go to it, and no account is rotated.",
		advice: "Remove one of the two from pi's settings.",
	}),
	"rival-not-visible": () => ({
		text: "This version of pi does not show whether another extension has replaced openai-codex.",
	}),
	"switched-off": () => ({ text: "pi-multicodex is off.", advice: "/multicodex on" }),
	"chain-good": ({ figure = 0 }) => ({ text: `${plural(figure, "link")} of the chain can be asked.` }),
	"chain-no-host": () => ({
		text: "A chain is set, but this pi has no virtual models. pi 0.99 and later have them.",
		advice: "While no account can serve, /model switches to a link by hand.",
	}),
	"chain-unknown": ({ subject }) => ({
		text: `pi knows no model ${subject}, which is on the chain.`,
		advice: `/multicodex chain remove ${subject}`,
	}),
	"chain-virtual": ({ subject }) => ({
		text: `${subject} is on the chain, but a virtual model cannot be a link.`,
		advice: `/multicodex chain remove ${subject}`,
	}),
	"chain-unsigned": ({ subject }) => ({
		text: `${subject} is on the chain, but its provider has neither a sign-in nor a key.`,
		advice: "/login",
	}),
	"chain-not-offered": ({ subject }) => ({
		text: `${subject} is on the chain, but no account may use it.`,
		advice: `/multicodex chain remove ${subject}`,
	}),
	"setting-bad": ({ detail }) => ({ text: detail ?? "", advice: "Correct it in settings.json." }),
	"set-holds": ({ folder, figure = 0 }) => ({
		text: `Sessions here are bound to the account set of ${folder}: ${plural(figure, "account")}.`,
		advice: "/multicodex only",
	}),
	"set-empty": ({ folder }) => ({
		text: `No account of the set of ${folder} is in the pool: sessions there are not served.`,
		advice: "There, /multicodex only all ends it.",
	}),
	"set-account-gone": ({ folder, figure = 0 }) => ({
		text: `The account set of ${folder} names ${plural(figure, "account")} that ${figure === 1 ? "is" : "are"} not in the pool.`,
		advice: "There, /multicodex only shows it.",
	}),
	"set-folder-gone": ({ folder }) => ({
		text: `An account set is stored for ${folder}, but that folder does not exist.`,
		advice: "Remove it from sets in settings.json, or correct the folder.",
	}),
	"cap-kept": ({ account, figure, detail = "" }) => ({
		text: `${account} has a cap: ${figure}% of its ${windowLabel(detail)} limit is kept.`,
	}),
	"cap-reached": ({ account, figure, detail = "" }) => ({
		text: `${account} is at its cap and does not serve: ${figure}% of its ${windowLabel(detail)} limit is kept.`,
		advice: `/multicodex cap ${asWord(account)} off lifts it.`,
	}),
	"cap-unreported": ({ account, figure, detail = "" }) => ({
		text: `${account} has a cap of ${figure}% on its ${windowLabel(detail)} limit, but does not report that limit now.`,
	}),
	"cap-account-gone": ({ account, detail = "" }) => ({
		text: `A cap is stored on the ${windowLabel(detail)} limit of ${account}, but that account is not in the pool.`,
		advice: "Remove it from caps in settings.json; /multicodex cap off ends every cap.",
	}),
	"shared-good": ({ figure = 0 }) => ({
		text: `The database of the shared pool answers. ${figure === 0 ? "No other machine was" : `${plural(figure, "other machine")} ${figure === 1 ? "was" : "were"}`} seen in the last five minutes.`,
	}),
	"shared-away": ({ detail = "", figure = 0 }) => ({
		text: `The shared pool has been unusable since ${formatPast(figure, 0)}: ${detail}`,
	}),
	"shared-no-listen": () => ({
		text: "Notifications from the database of the shared pool do not arrive, probably because of a pooler in transaction mode. This machine learns of changes within a minute.",
		advice: "A URL that bypasses the pooler shows changes at once.",
	}),
	"shared-clock": ({ figure = 0 }) => ({
		text: `The clock of this machine is ${formatDuration(Math.abs(figure))} ${figure > 0 ? "ahead of" : "behind"} that of the shared pool's database.`,
		advice: "Set the clock.",
	}),
	"shared-journal": ({ figure = 0 }) => ({
		text: `${plural(figure, "sign-in")} that this machine has renewed ${figure === 1 ? "waits" : "wait"} for the database of the shared pool.`,
		advice: "/multicodex share tries again. Do not delete the journal.",
	}),
	defects: ({ subject, figure = 0 }) => ({
		text: `${subject} lists ${plural(figure, "defect")} of pi-multicodex itself.`,
		advice: "/multicodex log shows where. Please report it, with /multicodex log --json.",
	}),
	"reset-credit-ends": ({ account, figure = 0 }) => ({
		text: `A reset credit of ${account} expires ${formatPast(figure, 0)}.`,
		advice: `/multicodex redeem ${asWord(account)} redeems it once a window is used up.`,
	}),
	environment: ({ subject }) => ({ text: `${subject} is set.` }),
	"tls-unchecked": ({ subject }) => ({
		text: `${subject} is 0: the servers that receive sign-ins are not verified.`,
		advice: `unset ${subject}`,
	}),
};

/** What `--fix` can repair, besides a damaged file of ours. */
const REPAIRABLE: ReadonlySet<FindingCode> = new Set([
	"permissions-wide",
	"lock-stale",
	"lock-ahead",
	"lock-strange",
	"leftover",
]);

const REPAIRED: Readonly<Record<Repair["kind"], (subject: string) => string>> = {
	permissions: (subject) => `${subject === "." ? "The agent directory" : subject} can now be read only by you.`,
	lock: (subject) => `Removed ${subject}, which no program held.`,
	leftover: (subject) => `Removed ${subject}.`,
	"set-aside": (subject) => `Moved a damaged file to ${subject}.`,
};

/** What was found and repaired. */
interface Verified {
	readonly findings: readonly Finding[];
	readonly repairs: readonly Repair[];
	/** True if `--fix` was typed. */
	readonly isFixing: boolean;
	/** The accounts that findings are about. */
	readonly accounts: readonly Account[];
}

/** Formats one line per finding, worst first. Names accounts by label. */
export function verifiedAsText({ findings, repairs, isFixing, accounts }: Verified): string {
	const width = Math.max(...findings.map(({ level }) => level.length));
	const words = wordsWith(accounts, { ofAccount: ({ label }) => label, ofFolder: (folder) => folder });
	const lines = findings.map((finding) => {
		const { text, advice } = words(finding);
		return `${finding.level.padEnd(width)}  ${[text, advice].filter(Boolean).join(" ")}`;
	});
	const mended = repairs.map(({ kind, subject }) => REPAIRED[kind](subject));
	const left = isFixing ? findings.filter(({ code }) => REPAIRABLE.has(code)) : [];
	const resisted = left.map(({ subject }) => `Could not repair ${subject === "." ? "the agent directory" : subject}.`);
	const why = left.length > 0 ? "Nothing could be repaired." : "There was nothing to repair.";
	const nothing = isFixing && mended.length === 0 ? [why] : [];
	// Names of files, and their content, may be anything.
	return [headOf(findings), ...mended, ...nothing, ...resisted, ...lines].map(printable).join("\n");
}

function headOf(findings: readonly Finding[]): string {
	const count = (level: Level) => findings.filter((finding) => finding.level === level).length;
	const [problems, warnings] = [count("problem"), count("warning")];
	if (problems + warnings === 0) return "No problems found.";
	const parts = [
		...(problems > 0 ? [plural(problems, "problem")] : []),
		...(warnings > 0 ? [plural(warnings, "warning")] : []),
	];
	return `${parts.join(", ")}.`;
}

/** Returns the JSON document. Identifies accounts by id. */
export function verifiedAsJson({ findings, repairs, accounts }: Verified): VerifyDocument {
	const words = wordsWith(accounts, { ofAccount: ({ id }) => id, ofFolder: () => "a folder" });
	return {
		version: 1,
		healthy: !hasProblem(findings),
		findings: findings.map((finding) => {
			const { text, advice } = words(finding);
			return {
				level: finding.level,
				code: finding.code,
				subject: finding.subject ?? null,
				text,
				advice: advice ?? null,
			};
		}),
		repaired: repairs.map(({ kind, subject }) => ({ kind, subject })),
	};
}

function wordsWith(
	accounts: readonly Account[],
	names: { readonly ofAccount: (account: Account) => string; readonly ofFolder: (folder: string) => string },
): (finding: Finding) => Words {
	const byId = new Map<string, Account>(accounts.map((account) => [account.id, account]));
	return (finding) => {
		const account = byId.get(finding.subject ?? "");
		const told = {
			...finding,
			account: account ? names.ofAccount(account) : (finding.subject ?? ""),
			folder: names.ofFolder(finding.detail ?? ""),
		};
		const isLost = account !== undefined && finding.code === "sign-in-lost";
		return WORDS[finding.code](isLost ? { ...told, detail: whySignedOut(account, finding.detail ?? "") } : told);
	};
}

function placeOf(endpoint: string | undefined): string {
	return endpoint === "issuer" ? "the sign-in service" : "the Codex backend";
}

function capitalised(text: string): string {
	return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}

function sizeText(bytes = 0): string {
	return bytes < 1024 ? `${bytes} B` : `${Math.round(bytes / 1024)} KiB`;
}
