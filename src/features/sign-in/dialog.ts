import { copyToClipboard } from "@mariozechner/pi-coding-agent";
import type { Credential } from "../../core/account.ts";
import type { CommandContext } from "../../pi/command.ts";
import { modeOf } from "../../pi/output.ts";
import { openPanel } from "../../pi/panel.ts";
import type { DeviceDialog, LoginDialog, SignInWays } from "./ports.ts";
import { LOGIN_CANCELLED, SignInError } from "./rules.ts";
import { createSignInScreen, type SignInScreen } from "./screen.ts";
import * as texts from "./texts.ts";

/** One sign-in requested by a command. */
interface SignInRequest {
	/** Its purpose, as a title. */
	readonly title: string;
	/** True for a code that is typed on another device, instead of a browser on this machine. */
	readonly onDevice: boolean;
}

type Outcome = { readonly credential: Credential } | { readonly error: unknown };

/** Lets the person sign in, in whatever way this mode offers. Throws a `SignInError`. Stores nothing. */
export async function signIn(ctx: CommandContext, request: SignInRequest, ways: SignInWays): Promise<Credential> {
	switch (modeOf(ctx.host)) {
		case "tui":
			return onScreen(ctx, request, ways);
		case "rpc":
			return inDialogs(ctx, request, ways);
		default:
			return unattended(ctx, request, ways);
	}
}

/** Signs in on one screen in the terminal, which handles the browser, a pasted code, Esc and the time-out. */
async function onScreen(
	ctx: CommandContext,
	{ title, onDevice }: SignInRequest,
	ways: SignInWays,
): Promise<Credential> {
	const { signal } = ctx;
	const cancelling = new AbortController();
	const ended = AbortSignal.any([signal, cancelling.signal]);
	const left = { error: new SignInError(LOGIN_CANCELLED) };
	const outcome = await openPanel<Outcome>(ctx, { ended: left }, ({ paint, isKey, repaint, wholeRoom, close }) => {
		const screen = createSignInScreen({
			title,
			paint,
			isCancelKey: (typed) => isKey(typed, "tui.select.cancel"),
			onCancel: () => cancelling.abort(),
			copy,
			repaint,
			now: Date.now,
			room: wholeRoom,
		});
		const signedIn = onDevice
			? ways.onDevice({ signal: ended, showCode: (shown) => screen.showCode(withExpiry(shown)) })
			: ways.inBrowser(dialogOn(screen, ended, ways));
		signedIn.then(
			(credential) => close({ credential }),
			(error: unknown) => close({ error }),
		);
		return screen;
	});
	if (!outcome) return inDialogs(ctx, { title, onDevice }, ways);
	if ("error" in outcome) throw outcome.error;
	return outcome.credential;
}

function dialogOn(screen: SignInScreen, signal: AbortSignal, ways: SignInWays): LoginDialog {
	return {
		signal,
		showUrl: (url, how) => {
			screen.showUrl(url, how);
			openBrowser(url, ways, (isOpen) => screen.showBrowser(isOpen));
		},
		pasted: (problem) => screen.pasted(problem),
		received: () => screen.received(),
	};
}

/** Opens the address in the background. The sign-in continues whatever the result. */
function openBrowser(url: string, ways: SignInWays, tell: (isOpen: boolean) => void): void {
	// An update may have replaced the files of this package. Without a browser the person still has the address.
	const opening = ways.openBrowser(url).catch(() => false);
	// A session that has ended meanwhile has no screen to show it on.
	opening.then(tell).catch(() => undefined);
}

/** With dialogs only: shows notices, and a question that stays open until the sign-in ends. */
async function inDialogs(
	{ host, signal }: CommandContext,
	{ title, onDevice }: SignInRequest,
	ways: SignInWays,
): Promise<Credential> {
	const over = new AbortController();
	const cancelling = new AbortController();
	const questionSignal = AbortSignal.any([signal, over.signal]);
	const ended = AbortSignal.any([signal, cancelling.signal]);
	try {
		if (!onDevice) {
			return await ways.inBrowser({
				signal: ended,
				showUrl: (url, { comesBack }) => {
					host.ui.notify(`${title}. ${texts.browserSignIn(comesBack)}\n${url}`, "info");
					openBrowser(url, ways, (isOpen) => {
						if (!isOpen && !questionSignal.aborted && !ended.aborted) host.ui.notify(texts.browserMissing(), "info");
					});
				},
				pasted: async (problem) => {
					if (problem !== undefined) host.ui.notify(problem, "warning");
					const text = await host.ui.input("Paste the code, or the address the browser ended on", "", {
						signal: questionSignal,
					});
					if (text === undefined) throw new SignInError(LOGIN_CANCELLED);
					return text;
				},
			});
		}
		return await ways.onDevice({
			signal: ended,
			showCode: (shown) => {
				host.ui.notify(`${title}. ${texts.deviceSignIn(shown)}`, "info");
				// The only possible answer. The question stays open until the code was typed.
				void host.ui
					.select("Waiting for the code to be typed on the other device", ["Cancel"], {
						signal: questionSignal,
					})
					.then(
						() => cancelling.abort(),
						() => cancelling.abort(),
					);
			},
		});
	} finally {
		over.abort();
	}
}

/** In a mode without questions, a code to type elsewhere, written to stderr, is the only way. */
async function unattended(
	{ signal }: CommandContext,
	{ onDevice }: SignInRequest,
	ways: SignInWays,
): Promise<Credential> {
	if (!onDevice) throw new SignInError(texts.noBrowserHere());
	return ways.onDevice({
		signal,
		showCode: (shown) => {
			process.stderr.write(`${texts.deviceSignIn(shown)}\n`);
		},
	});
}

type Shown = Parameters<DeviceDialog["showCode"]>[0];

function withExpiry({ userCode, verificationUri, expiresInSeconds }: Shown): Parameters<SignInScreen["showCode"]>[0] {
	return { userCode, verificationUri, expiresAt: Date.now() + expiresInSeconds * 1000 };
}

async function copy(text: string): Promise<boolean> {
	try {
		await copyToClipboard(text);
		return true;
	} catch {
		// This machine has no clipboard, or none that answers.
		return false;
	}
}
