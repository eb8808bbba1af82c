import type { ExtensionContext, ExtensionUIContext } from "@mariozechner/pi-coding-agent";
import type { Component } from "@mariozechner/pi-tui";
import { uniqueLabel } from "../core/account.ts";
import { hideEmails, hideEmailsIn } from "../core/privacy.ts";
import { clampWidth } from "../ui-kit/panel.ts";
import type { Result } from "./output.ts";

/**
 * Wraps a context for screens that others see: while `isMasked` returns true, no e-mail is written, asked or drawn
 * through it. Answers are the choices as they were offered.
 */
export function maskedContext<C extends ExtensionContext>(ctx: C, isMasked: () => boolean): C {
	return new Proxy(ctx, {
		// A stale context throws here as it always does.
		get: (target, key) => (key === "ui" && isMasked() ? maskedUi(target.ui) : Reflect.get(target, key)),
	});
}

/** Masks the outcome of a command in the same way. */
export function maskedOutcome<O extends Result | { readonly failure: string }>(outcome: O, isMasked: boolean): O {
	if (!isMasked) return outcome;
	if ("failure" in outcome) return { ...outcome, failure: hideEmails(outcome.failure) };
	return { ...outcome, text: hideEmails(outcome.text), json: hideEmailsIn(outcome.json) };
}

/**
 * Wraps the UI in a proxy, since no host filters what an extension shows, and some methods of its UI use private
 * fields.
 */
function maskedUi(ui: ExtensionUIContext): ExtensionUIContext {
	const masked: Partial<ExtensionUIContext> = {
		notify: (text, level) => ui.notify(hideEmails(text), level),
		setStatus: (key, text) => ui.setStatus(key, text === undefined ? undefined : hideEmails(text)),
		confirm: (title, message, options) => ui.confirm(hideEmails(title), hideEmails(message), options),
		input: (title, placeholder, options) =>
			ui.input(hideEmails(title), placeholder === undefined ? undefined : hideEmails(placeholder), options),
		select: async (title, choices, options) => {
			// Two e-mails may look the same once masked.
			const taken = new Set<string>();
			for (const choice of choices) taken.add(uniqueLabel(hideEmails(choice), taken));
			const offered = [...taken];
			const chosen = await ui.select(hideEmails(title), offered, options);
			return chosen === undefined ? undefined : choices[offered.indexOf(chosen)];
		},
		custom: (create, options) =>
			ui.custom((...host) => {
				const made = create(...host);
				return made instanceof Promise ? made.then(privateComponent) : privateComponent(made);
			}, options),
	};
	return new Proxy(ui, { get: (target, key) => Reflect.get(masked, key) ?? own(target, key) });
}

function privateComponent<C extends Component>(component: C): C {
	// Fewer characters may need more room: for instance, of a letter with accents only the letter is left.
	const render = (width: number) => clampWidth(component.render(width).map(hideEmails), width);
	return new Proxy(component, {
		get: (target, key) => (key === "render" ? render : own(target, key)),
		set: (target, key, value) => Reflect.set(target, key, value),
	});
}

/** Returns a property of an object. A method stays bound to its object, since some have private fields. */
export function own<T extends object>(target: T, key: string | symbol): unknown {
	const value: unknown = Reflect.get(target, key);
	return typeof value === "function" ? value.bind(target) : value;
}
