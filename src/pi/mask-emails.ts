import type { ExtensionContext, ExtensionUIContext } from "@mariozechner/pi-coding-agent";
import type { Component } from "@mariozechner/pi-tui";
import { uniqueLabel } from "../core/account.ts";
import { hideEmails, hideEmailsIn } from "../core/privacy.ts";
import { clampWidth } from "../ui-kit/panel.ts";
import type { Result } from "./output.ts";

/**
 * The context as it may be used on a screen that others see: while `isMasked` is true, no e-mail is written, asked or
 * drawn through it. What is answered is what was offered.
 */
export function maskedContext<C extends ExtensionContext>(ctx: C, isMasked: () => boolean): C {
	return new Proxy(ctx, {
		// A stale context throws here as it always does.
		get: (target, key) => (key === "ui" && isMasked() ? maskedUi(target.ui) : Reflect.get(target, key)),
	});
}

/** What a command comes to, in the same manner. */
export function maskedOutcome<O extends Result | { readonly failure: string }>(outcome: O, isMasked: boolean): O {
	if (!isMasked) return outcome;
	if ("failure" in outcome) return { ...outcome, failure: hideEmails(outcome.failure) };
	return { ...outcome, text: hideEmails(outcome.text), json: hideEmailsIn(outcome.json) };
}

/** A proxy, since no host filters what an extension shows, and some methods of its UI have private fields. */
function maskedUi(ui: ExtensionUIContext): ExtensionUIContext {
	const masked: Partial<ExtensionUIContext> = {
		notify: (text, level) => ui.notify(hideEmails(text), level),
		setStatus: (key, text) => ui.setStatus(key, text === undefined ? undefined : hideEmails(text)),
		confirm: (title, message, options) => ui.confirm(hideEmails(title), hideEmails(message), options),
		input: (title, placeholder, options) =>
			ui.input(hideEmails(title), placeholder === undefined ? undefined : hideEmails(placeholder), options),
		select: async (title, choices, options) => {
			// Two e-mails may look the same once they are hidden.
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
	// Fewer characters may take more room: of a letter with its accents, say, nothing but the letter is left.
	const render = (width: number) => clampWidth(component.render(width).map(hideEmails), width);
	return new Proxy(component, {
		get: (target, key) => (key === "render" ? render : own(target, key)),
		set: (target, key, value) => Reflect.set(target, key, value),
	});
}

/** A property as its object has it. A method keeps its object: some of them have private parts. */
export function own<T extends object>(target: T, key: string | symbol): unknown {
	const value: unknown = Reflect.get(target, key);
	return typeof value === "function" ? value.bind(target) : value;
}
