import { expect, test } from 'vitest';
import { compileTemplate } from './template.ts';

const VARIABLES = {
  m: [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: '\n\n  x \n' },
    { role: 'user', content: 'b' }
  ],
  s: '\n ab \n',
  e: '🩻x',
  n: null
};
const NOW = new Date(2026, 2, 5, 14, 7, 9);
const render = (source: string) => compileTemplate(source)(VARIABLES, NOW);

/** What Jinja2 3.1.6 gives under Python 3.11 in the environment of transformers; each departs in @huggingface/jinja. */
const CASES: Record<string, [source: string, text: string][]> = {
  'white space of Python, and only the characters asked for': [
    ["{{ s.strip('\\n') }}|", ' ab |'],
    ["{{ s.lstrip('\\n') }}|", ' ab \n|'],
    ["{{ 'xxaxx'.strip('x') }}|{{ 'xxaxx'|trim('x') }}", 'a|a'],
    ["{{ '\\u0085 a \\x1c'|trim|length }}{{ '\\ufeffa'|trim|length }}", '12']
  ],
  'a round of a loop keeps nothing for the next': [
    ['{% for x in m %}{% if loop.first %}{% set q=1 %}{% endif %}[{{ q }}]{% endfor %}', '[1][][]'],
    [
      "{% set q='o' %}{% for x in m %}{% if loop.first %}{% set q=1 %}{% endif %}{{ q }}{% endfor %}{{q}}",
      '1ooo'
    ],
    [
      '{% set z=1 %}{% macro f() %}{{z}}{% endmacro %}{% for x in m %}{% set z=2 %}{{ f() }}{% endfor %}',
      '111'
    ]
  ],
  'text before a break or continue stands': [
    ['{% for x in m %}{{x.role}}{% if loop.index==2 %}{% break %}{% endif %},{% endfor %}', 'user,assistant'],
    [
      '{% for x in m %}{{x.role}}{% if loop.index==2 %}{% continue %}{% endif %},{% endfor %}',
      'user,assistantuser,'
    ],
    ['{% for x in m %}{% continue %}{% else %}none{% endfor %}', 'none']
  ],
  'equality is of values and types': [
    ['{{ m[0].foo == none }}{{ m[0].foo != none }}{{ n == none }}', 'FalseTrueTrue'],
    [
      "{{ '1' == 1 }}{{ '' == 0 }}{{ [1]==[1] }}{{ 1 == 1.0 }}{{ [m[0]] + m[1:] == m }}",
      'FalseFalseTrueTrueTrue'
    ]
  ],
  'values print as Python prints them': [
    ['{{ none }}{{ true }}{{ 1.0 }}{{ 3/2 }}{{ 4//2 }}', 'NoneTrue1.01.52'],
    ["{{ 'a' ~ none ~ m[0].foo }}|{{ ('a' if false) ~ 'b' }}", 'aNone|b'],
    [
      "{{ m[0] }}{{ (1,2) }}{{ [1,'a',none,true] }}",
      "{'role': 'user', 'content': 'a'}(1, 2)[1, 'a', None, True]"
    ],
    ['{{ "it\'s" }}{{ ["it\'s", \'q"\\n\'] }}', "it's[\"it's\", 'q\"\\n']"]
  ],
  'characters are counted, not UTF-16 units': [['{{ e[0] }}{{ e|length }}{{ e[1:] }}', '🩻2x']],
  'a remainder has the sign of its divisor, int cuts towards zero': [
    ['{{ (0-1) % 2 }}{{ (-3.7)|int }}', '1-3']
  ],
  'words in other cases': [
    ["{{ 'abC dEf'|capitalize }}{{ 'abC dEf'|title }}{{ \"it's\"|title }}", "Abc defAbc DefIt's"]
  ],
  'text is a sequence of characters': [
    ["{% for c in 'ab' %}{{c}}-{% endfor %}{{ 'ab'|list }}{{ 'abc'|first }}", "a-b-['a', 'b']a"],
    ["{{ m[0] is iterable }}{{ m[0] is sequence }}{{ 'a' is sequence }}", 'TrueTrueTrue'],
    [
      "{{ 'a' < 'b' }}{{ 'ab' * 2 }}{{ 'x'.join(['a','b']) }}{{ 'aXbX'.rsplit('X',1) }}",
      "Trueababaxb['aXb', '']"
    ]
  ],
  'line ends of the file are "\\n"': [['a\r\nb{% if true %}\r\nc{% endif %}', 'a\nbc']],
  'dates are in English': [
    ["{{ strftime_now('%d %b %Y, %B %A %H:%M:%S') }}", '05 Mar 2026, March Thursday 14:07:09']
  ],
  'JSON is that of json.dumps': [
    [
      "{{ m[0]|tojson }}{{ {'a':[1]}|tojson(indent=2) }}{{ 'é'|tojson(ensure_ascii=true) }}",
      '{"role": "user", "content": "a"}{\n  "a": [\n    1\n  ]\n}"\\u00e9"'
    ]
  ]
};

test.each(Object.entries(CASES))('%s', (_, cases) => {
  for (const [source, text] of cases) expect([source, render(source).text]).toEqual([source, text]);
});

test('what is not there has no attributes and is no silent nothing', () => {
  expect(() => render('{{ m[0].foo.bar }}')).toThrow("'dict object' has no attribute 'foo'");
  expect(() => render('{{ m[5].role }}')).toThrow('list object has no element 5');
  expect(() => render("{{ 'a' + m[0].foo }}")).toThrow("'dict object' has no attribute 'foo'");
  expect(() => render('{{ m.append(1) }}')).toThrow("'list object' has no attribute 'append'");
  expect(() => render('{{ m|unique }}')).toThrow("unhashable type: 'dict'");
  expect(() => render('{{ range(100001) }}')).toThrow('range() is longer than 100000');
  expect(() => render("{{ strftime_now('%q') }}")).toThrow('strftime_now does not know %q');
});

test('an unknown filter or test is refused before anything is rendered, also where it would not be reached', () => {
  expect(() => compileTemplate('{% if false %}{{ m|groupby }}{% endif %}')).toThrow(
    "No filter named 'groupby'."
  );
  expect(() => compileTemplate('{% if false and m is odder %}{% endif %}')).toThrow("No test named 'odder'.");
  for (const chain of ['1 < 2 < 3', "'a' in 'ab' == true", '1 != 2 not in [3]'])
    expect(() => compileTemplate(`{{ ${chain} }}`)).toThrow('A comparison of a comparison needs brackets');
  const apart =
    "{{ (1 < 2) == (2 < 3) }}{{ 1 < 2 and 2 < 3 }}{{ [1 < 2, 2 < 3] }}{% for x in m if x.role == 'user' %}{{ x.content }}{% endfor %}";
  expect(render(apart).text).toBe('TrueTrue[True, True]ab');
  expect(() => compileTemplate('{% include "x" %}')).toThrow('Unknown statement type: include');
});

test('generation marks are given by place, with their white space, and only where they can be placed', () => {
  const marked =
    '{% for x in m %}{{ x.role }}:\n{%- generation %}\n {{ x.content }}{% endgeneration %}\n;{% endfor %}';
  const { text, generation } = render(marked);
  expect(generation.map(([start, end]) => text.slice(start, end))).toEqual([' a', ' \n\n  x \n', ' b']);
  expect(text).toBe('user: a;assistant: \n\n  x \n;user: b;');
  const hidden = '{% set x %}{% generation %}a{% endgeneration %}{% endset %}{{ x }}';
  expect(() => render(hidden)).toThrow(
    '{% generation %} inside a macro, a call or a set block cannot be placed'
  );
});
