//! The operands that both syntaxes are made of, and which syntax a line is in.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::lex::{Position, Token, TokenKind, tokens};
use super::{AsmError, AsmErrorKind};
use crate::insn::{Insn, JumpForm, Operand, Reg, Width};

/// An instruction whose offset may still be a name.
pub(super) struct Item<'a> {
    pub insn: Insn,
    pub label: Option<Label<'a>>,
}

/// The use of a name where an offset belongs.
#[derive(Clone, Copy)]
pub(super) struct Label<'a> {
    pub name: &'a str,
    pub at: Position,
}

/// Where a jump or call goes.
enum Target<'a> {
    Offset { slots: i128, at: Position },
    Label(Label<'a>),
}

/// Looks the file descriptor of a map up.
pub(super) type MapFd<'s> = &'s dyn Fn(&str) -> Option<i32>;

/// The tokens of one line and how far they are read.
pub(super) struct Line<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
    end: Position,
    /// The opcode byte in front of the instruction, where the line has the log's form.
    pub(super) opcode: Option<u8>,
}

pub(super) type Parsed<T> = Result<T, AsmError>;

impl From<Insn> for Item<'_> {
    fn from(insn: Insn) -> Self {
        Self { insn, label: None }
    }
}

impl<'a> Line<'a> {
    /// Splits a line and skips the prefixes of a log line.
    pub(super) fn lex(number: u32, text: &'a str) -> Parsed<Self> {
        let (tokens, end) = tokens(number, text);
        let mut line = Self { tokens, next: 0, end, opcode: None };
        if let [Token { kind: TokenKind::Number, .. }, Token { text: ":", .. }, ..] =
            line.tokens.as_slice()
        {
            line.next += 2;
        }
        if line.accept("(") {
            let byte = line.word("an opcode byte in hexadecimal")?;
            line.opcode = Some(u8::from_str_radix(byte.text, 16).map_err(|_| {
                byte.at.error(expected("an opcode byte in hexadecimal", Some(&byte)))
            })?);
            line.expect(")")?;
        }
        Ok(line)
    }

    /// The name and place of a label defined here.
    pub(super) fn label_definition(&mut self) -> Option<(&'a str, Position)> {
        match self.rest() {
            [name @ Token { kind: TokenKind::Word, .. }, Token { text: ":", .. }, ..] => {
                let found = (name.text, name.at);
                self.next += 2;
                Some(found)
            }
            _ => None,
        }
    }

    /// The instruction on the rest of the line, if any.
    pub(super) fn statement(&mut self, map_fd: MapFd<'_>) -> Parsed<Option<Item<'a>>> {
        if self.rest().is_empty() {
            return Ok(None);
        }
        let item = match self.infix(map_fd)? {
            Some(item) => item,
            None => self.mnemonic(map_fd)?,
        };
        if !self.rest().is_empty() {
            return Err(self.expected("the end of the line"));
        }
        Ok(Some(item))
    }

    fn rest(&self) -> &[Token<'a>] {
        self.tokens.get(self.next..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<&Token<'a>> {
        self.rest().first()
    }

    pub(super) fn peek_text(&self) -> &'a str {
        self.peek().map_or("", |token| token.text)
    }

    /// The token after the next.
    pub(super) fn peek_second(&self) -> &'a str {
        self.rest().get(1).map_or("", |token| token.text)
    }

    /// How far the line is read, for [`Line::restore`].
    pub(super) fn save(&self) -> usize {
        self.next
    }

    /// Goes back to where [`Line::save`] was called.
    pub(super) fn restore(&mut self, place: usize) {
        self.next = place;
    }

    /// The position of the next token, or of the end of the line.
    pub(super) fn at(&self) -> Position {
        self.peek().map_or(self.end, |token| token.at)
    }

    /// The complaint that something else should come next.
    pub(super) fn expected(&self, what: &str) -> AsmError {
        self.at().error(expected(what, self.peek()))
    }

    /// Skips the text if it comes next.
    pub(super) fn accept(&mut self, text: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.text == text);
        self.next += usize::from(found);
        found
    }

    /// Skips the text, which must come next.
    pub(super) fn expect(&mut self, text: &str) -> Parsed<()> {
        if self.accept(text) { Ok(()) } else { Err(self.expected(&format!("`{text}`"))) }
    }

    /// Any word or number.
    pub(super) fn word(&mut self, what: &str) -> Parsed<Token<'a>> {
        match self.peek().copied() {
            Some(token) if token.kind != TokenKind::Punct => {
                self.next += 1;
                Ok(token)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// A register and how it is written: `r3` and `%r3` are 64 bits, `w3` is 32.
    pub(super) fn accept_register(&mut self) -> Option<(Width, Reg)> {
        let percent = usize::from(self.peek_text() == "%");
        let token = self.rest().get(percent)?;
        let found = match token.text {
            "fp" => (Width::W64, Reg::FP),
            text => {
                let (width, number) = match (text.strip_prefix('r'), text.strip_prefix('w')) {
                    (Some(number), _) => (Width::W64, number),
                    (None, Some(number)) => (Width::W32, number),
                    (None, None) => return None,
                };
                let plain = number.len() == 1 || !number.starts_with('0');
                (width, Reg::parse(number.parse().ok().filter(|_| plain)?)?)
            }
        };
        self.next += 1 + percent;
        Some(found)
    }

    pub(super) fn register(&mut self) -> Parsed<(Width, Reg)> {
        self.accept_register().ok_or_else(|| self.expected("a register"))
    }

    /// A register of any spelling, where the instruction itself says how much of it counts.
    pub(super) fn any_register(&mut self) -> Parsed<Reg> {
        self.register().map(|(_, reg)| reg)
    }

    /// A register of this width.
    pub(super) fn accept_register_of(&mut self, width: Width) -> Option<Reg> {
        let before = self.next;
        match self.accept_register() {
            Some((found, reg)) if found == width => Some(reg),
            _ => {
                self.next = before;
                None
            }
        }
    }

    /// A register of this width.
    pub(super) fn register_of(&mut self, width: Width) -> Parsed<Reg> {
        self.accept_register_of(width).ok_or_else(|| {
            self.expected(match (self.peek_text().chars().next(), width) {
                (Some('w'), Width::W64) => "a 64-bit register",
                (Some('r'), Width::W32) => "a 32-bit register",
                _ => "a register",
            })
        })
    }

    /// Whether a number comes next, which may have a sign.
    pub(super) fn at_number(&self) -> bool {
        let signed = usize::from(matches!(self.peek_text(), "+" | "-"));
        self.rest().get(signed).is_some_and(|token| token.kind == TokenKind::Number)
    }

    /// A number of at most 64 bits, decimal or hexadecimal, with or without a sign.
    pub(super) fn number(&mut self, what: &str) -> Parsed<i128> {
        if !self.at_number() {
            return Err(self.expected(what));
        }
        let at = self.at();
        let negative = self.accept("-");
        self.accept("+");
        let token = self.word(what)?;
        let (digits, radix) = match token.text.strip_prefix("0x") {
            Some(digits) => (digits, 16),
            None => (token.text, 10),
        };
        if !digits.starts_with(|c: char| c.is_digit(radix))
            || digits.contains(|c: char| !c.is_digit(radix))
        {
            return Err(token.at.error(expected(what, Some(&token))));
        }
        let magnitude = u64::from_str_radix(digits, radix).map_err(|_| {
            at.error(AsmErrorKind::Range { number: token.text.into(), what: "64 bits" })
        })?;
        let magnitude = i128::from(magnitude);
        Ok(if negative { -magnitude } else { magnitude })
    }

    /// An immediate of 32 bits, given as a signed or as an unsigned number.
    pub(super) fn imm32(&mut self) -> Parsed<i32> {
        let at = self.at();
        let number = self.number("a number")?;
        let unsigned = u32::try_from(number).map(u32::cast_signed);
        i32::try_from(number)
            .or(unsigned)
            .map_err(|_| out_of_range(at, number, "the 32-bit immediate"))
    }

    /// A signed number of 16 bits.
    pub(super) fn imm16(&mut self) -> Parsed<i16> {
        let at = self.at();
        let number = self.number("a number")?;
        i16::try_from(number).map_err(|_| out_of_range(at, number, "the 16-bit offset"))
    }

    /// A constant of 64 bits, given as a signed or as an unsigned number.
    pub(super) fn imm64(&mut self) -> Parsed<u64> {
        let at = self.at();
        let number = self.number("a number")?;
        let signed = i64::try_from(number).map(i64::cast_unsigned);
        u64::try_from(number).or(signed).map_err(|_| out_of_range(at, number, "64 bits"))
    }

    /// A number that an unsigned 32-bit field holds.
    pub(super) fn u32(&mut self) -> Parsed<u32> {
        self.imm32().map(i32::cast_unsigned)
    }

    /// Register of this width, or immediate.
    pub(super) fn operand(&mut self, width: Width) -> Parsed<Operand> {
        if self.at_number() {
            return self.imm32().map(Operand::Imm);
        }
        if matches!(self.peek_text().chars().next(), Some('%' | 'r' | 'w' | 'f')) {
            return self.register_of(width).map(Operand::Reg);
        }
        Err(self.expected("a register or a number"))
    }

    /// The signed 16-bit offset of a memory access, nothing meaning 0.
    pub(super) fn offset(&mut self) -> Parsed<i16> {
        if !matches!(self.peek_text(), "+" | "-") {
            return Ok(0);
        }
        self.imm16()
    }

    /// `pc+3`, `+3`, `3` or a label, with LLVM's `<name>` behind it skipped.
    fn target(&mut self) -> Parsed<Target<'a>> {
        const WHAT: &str = "an offset or a label";
        let at = self.at();
        if self.peek_text() == "pc"
            && self.rest().get(1).is_some_and(|t| matches!(t.text, "+" | "-"))
        {
            self.accept("pc");
        }
        let target = if self.at_number() {
            Target::Offset { slots: self.number(WHAT)?, at }
        } else {
            match self.peek().copied() {
                Some(Token { kind: TokenKind::Word, text: name, .. }) => {
                    self.next += 1;
                    Target::Label(Label { name, at })
                }
                _ => return Err(self.expected(WHAT)),
            }
        };
        if self.accept("<") {
            while !self.accept(">") {
                if self.peek().is_none() {
                    return Err(self.expected("`>`"));
                }
                self.next += 1;
            }
        }
        Ok(target)
    }

    /// The target of an unconditional jump.
    pub(super) fn jump(&mut self, form: JumpForm) -> Parsed<Item<'a>> {
        match form {
            JumpForm::Short => self.short_jump(|off| Insn::Jump { form, off: off.into() }),
            JumpForm::Long => self.long_jump(|off| Insn::Jump { form, off }),
        }
    }

    /// The target of a jump with a 16-bit offset; `insn` makes the instruction.
    pub(super) fn short_jump(&mut self, insn: impl FnOnce(i16) -> Insn) -> Parsed<Item<'a>> {
        Ok(match self.target()? {
            Target::Label(label) => Item { insn: insn(0), label: Some(label) },
            Target::Offset { slots, at } => {
                let off = i16::try_from(slots)
                    .map_err(|_| out_of_range(at, slots, "the 16-bit offset"))?;
                insn(off).into()
            }
        })
    }

    /// The target of a jump or call with a 32-bit offset; `insn` makes the instruction.
    pub(super) fn long_jump(&mut self, insn: impl FnOnce(i32) -> Insn) -> Parsed<Item<'a>> {
        Ok(match self.target()? {
            Target::Label(label) => Item { insn: insn(0), label: Some(label) },
            Target::Offset { slots, at } => {
                let off = i32::try_from(slots)
                    .map_err(|_| out_of_range(at, slots, "the 32-bit offset"))?;
                insn(off).into()
            }
        })
    }
}

pub(super) fn out_of_range(at: Position, number: i128, what: &'static str) -> AsmError {
    at.error(AsmErrorKind::Range { number: format!("{number}"), what })
}

fn expected(what: &str, found: Option<&Token<'_>>) -> AsmErrorKind {
    let found =
        found.map_or_else(|| String::from("the end of the line"), |t| format!("`{}`", t.text));
    AsmErrorKind::Expected { what: what.into(), found }
}
