package news

// topic is one category's vocabulary. Subjects are nominative singular, predicates are a finite verb and the rest of
// the clause, things are plural nouns without an article (nominative and accusative are the same), so that every
// combination is correct German.
type topic struct {
	name       string
	weight     int // share in percent
	subjects   []string
	predicates []predicate
	things     []string
}

type predicate struct{ verb, rest string }

// topics returns the categories, each with its vocabulary.
func topics() []topic {
	return []topic{
		{
			name: "Politik", weight: 16,
			subjects: []string{"die Ministerin", "der Landtag", "die Opposition", "der Fraktionschef", "die Kanzlerin", "der Bundesrat", "die Koalition", "der Abgeordnete", "die Landesregierung", "der Untersuchungsausschuss", "die Bürgermeisterin", "der Parteitag", "die Außenministerin", "der Wahlleiter"},
			predicates: []predicate{
				{"kündigte", "eine Reform des Wahlrechts an"},
				{"wies", "die Kritik der Opposition zurück"},
				{"brachte", "einen Gesetzentwurf ein"},
				{"lehnte", "den Antrag der Fraktion ab"},
				{"forderte", "eine Abstimmung im Parlament"},
				{"verteidigte", "den Haushaltsentwurf"},
				{"stellte", "die Vertrauensfrage"},
				{"warb", "für ein neues Bündnis"},
				{"unterzeichnete", "den Koalitionsvertrag"},
				{"verlangte", "mehr Geld für die Kommunen"},
				{"beriet", "über das neue Asylrecht"},
				{"empfing", "den Botschafter zu Gesprächen"},
				{"verlor", "die Mehrheit im Stadtrat"},
				{"trat", "nach der Wahlniederlage zurück"},
				{"rief", "zu einem Volksentscheid auf"},
			},
			things: []string{"Koalitionsverhandlungen", "Umfragewerte", "Landtagswahlen", "Sanktionen", "Parteispenden", "Grenzkontrollen", "Abgeordnete", "Gesetzentwürfe", "Wahlversprechen", "Regierungserklärungen", "Mandate", "Diäten", "Staatsverträge", "Stimmzettel", "Ministerien"},
		},
		{
			name: "Wirtschaft", weight: 14,
			subjects: []string{"der Konzern", "die Zentralbank", "der Einzelhandel", "die Gewerkschaft", "der Maschinenbauer", "die Handelskammer", "der Aufsichtsrat", "das Traditionsunternehmen", "der Zulieferer", "die Großbank", "der Vorstand", "die Baubranche", "der Stahlhersteller", "die Insolvenzverwalterin"},
			predicates: []predicate{
				{"senkte", "die Gewinnprognose für das laufende Jahr"},
				{"schloss", "das Geschäftsjahr mit einem Verlust ab"},
				{"erhöhte", "die Preise um vier Prozent"},
				{"strich", "dreihundert Arbeitsplätze im Stammwerk"},
				{"übernahm", "einen Konkurrenten aus Bayern"},
				{"meldete", "Insolvenz beim Amtsgericht an"},
				{"einigte", "sich mit den Beschäftigten auf einen Tarifvertrag"},
				{"steigerte", "den Umsatz im dritten Quartal"},
				{"verlagerte", "die Produktion nach Polen"},
				{"zahlte", "eine höhere Dividende"},
				{"baute", "ein neues Werk"},
				{"hielt", "die Leitzinsen unverändert"},
				{"klagte", "über teure Rohstoffe"},
				{"rechnete", "mit einer Erholung der Exporte"},
				{"verkaufte", "die Tochterfirma an einen Investor"},
			},
			things: []string{"Lieferketten", "Tarifverhandlungen", "Zinsen", "Aktienkurse", "Exporte", "Dividenden", "Kredite", "Arbeitsplätze", "Rohstoffpreise", "Quartalszahlen", "Aufträge", "Strafzölle", "Warnstreiks", "Bilanzen", "Subventionen"},
		},
		{
			name: "Sport", weight: 15,
			subjects: []string{"der Trainer", "die Nationalmannschaft", "der Torwart", "die Stürmerin", "der Aufsteiger", "die Titelverteidigerin", "der Rekordmeister", "die Läuferin", "der Kapitän", "die Skispringerin", "der Tabellenführer", "der Handballbund", "die Schwimmerin", "der Radprofi"},
			predicates: []predicate{
				{"gewann", "das Spitzenspiel mit drei zu eins"},
				{"verlor", "das Finale im Elfmeterschießen"},
				{"verletzte", "sich im Training am Knie"},
				{"verlängerte", "den Vertrag um zwei Jahre"},
				{"holte", "die Goldmedaille über die Langstrecke"},
				{"schoss", "kurz vor dem Abpfiff den Ausgleich"},
				{"wechselte", "zum Ligakonkurrenten"},
				{"feierte", "den Klassenerhalt mit den Fans"},
				{"stellte", "eine neue Bestzeit auf"},
				{"verpasste", "die Qualifikation für die Weltmeisterschaft"},
				{"sah", "nach einem Foul die Rote Karte"},
				{"siegte", "im letzten Heimspiel der Saison"},
				{"kämpfte", "um den Einzug ins Halbfinale"},
				{"parierte", "zwei Strafstöße"},
				{"stand", "beim Auswärtsspiel in der Startelf"},
			},
			things: []string{"Tore", "Playoffs", "Medaillen", "Heimspiele", "Transfers", "Schiedsrichter", "Trainingslager", "Elfmeter", "Fankurven", "Bestzeiten", "Dopingproben", "Stadien", "Punktabzüge", "Pokalspiele", "Muskelverletzungen"},
		},
		{
			name: "Kultur", weight: 9,
			subjects: []string{"das Museum", "die Regisseurin", "der Dirigent", "die Schriftstellerin", "das Stadttheater", "der Maler", "die Sopranistin", "der Verlag", "das Filmfestival", "die Kuratorin", "der Pianist", "das Orchester", "die Galerie", "der Intendant"},
			predicates: []predicate{
				{"eröffnete", "eine Ausstellung über die Romantik"},
				{"inszenierte", "ein Drama von Schiller"},
				{"veröffentlichte", "einen Roman über die Nachkriegszeit"},
				{"erhielt", "den Literaturpreis der Stadt"},
				{"zeigte", "bislang unbekannte Gemälde"},
				{"dirigierte", "die neunte Sinfonie"},
				{"las", "aus einem neuen Gedichtband"},
				{"feierte", "die Premiere der Oper"},
				{"sagte", "das Gastspiel im Opernhaus ab"},
				{"drehte", "einen Spielfilm in Schwarz-Weiß"},
				{"erwarb", "eine Skulptur des Expressionismus"},
				{"übernahm", "die Leitung des Literaturhauses"},
				{"spielte", "Sonaten von Schubert"},
				{"kuratierte", "eine Schau mit Fotografien"},
				{"widmete", "dem Bildhauer eine Retrospektive"},
			},
			things: []string{"Gemälde", "Romane", "Uraufführungen", "Sinfonien", "Skulpturen", "Drehbücher", "Lesungen", "Bühnenbilder", "Gedichte", "Kinostarts", "Opernarien", "Museen", "Buchpreise", "Konzertsäle", "Drucke"},
		},
		{
			name: "Wissenschaft", weight: 10,
			subjects: []string{"die Astronomin", "das Forschungszentrum", "der Physiker", "die Raumsonde", "das Teleskop", "der Geologe", "die Akademie", "der Archäologe", "die Klimaforscherin", "das Grabungsteam", "der Chemiker", "die Polarstation", "der Satellit", "die Paläontologin"},
			predicates: []predicate{
				{"entdeckte", "einen Planeten außerhalb des Sonnensystems"},
				{"beobachtete", "die Verschmelzung zweier Galaxien"},
				{"legte", "Knochen eines Dinosauriers frei"},
				{"maß", "die Temperatur im ewigen Eis"},
				{"startete", "zu einem Flug um den Mars"},
				{"untersuchte", "Gestein aus der Tiefsee"},
				{"fand", "Spuren einer bronzezeitlichen Siedlung"},
				{"bestimmte", "die Masse eines Elementarteilchens"},
				{"funkte", "Bilder vom Rand des Sonnensystems"},
				{"simulierte", "die Strömungen im Atlantik"},
				{"wies", "Gravitationswellen nach"},
				{"datierte", "die Höhlenmalereien neu"},
				{"züchtete", "Kristalle in der Schwerelosigkeit"},
				{"kartierte", "den Grund des Ozeans"},
				{"berechnete", "die Bahn eines Asteroiden"},
			},
			things: []string{"Teilchen", "Galaxien", "Fossilien", "Gletscher", "Exoplaneten", "Messreihen", "Meteoriten", "Ausgrabungen", "Klimamodelle", "Vulkane", "Quasare", "Bohrkerne", "Umlaufbahnen", "Sedimente", "Magnetfelder"},
		},
		{
			name: "Gesundheit", weight: 9,
			subjects: []string{"die Klinik", "der Chefarzt", "die Krankenkasse", "das Gesundheitsamt", "die Hausärztin", "der Pflegedienst", "die Impfkommission", "der Chirurg", "die Apothekerin", "das Krankenhaus", "der Kinderarzt", "die Notaufnahme", "die Hebamme", "der Virologe"},
			predicates: []predicate{
				{"behandelte", "mehr Patienten mit Atemwegsinfekten"},
				{"empfahl", "eine Auffrischung der Impfung"},
				{"warnte", "vor den Nebenwirkungen des Präparats"},
				{"operierte", "erstmals mit einem Roboter am Herzen"},
				{"meldete", "einen Anstieg der Grippefälle"},
				{"schloss", "die Geburtsstation"},
				{"verschrieb", "seltener Antibiotika"},
				{"riet", "zu regelmäßiger Vorsorge"},
				{"suchte", "dringend Pflegekräfte"},
				{"übernahm", "die Kosten der Therapie"},
				{"erprobte", "einen Wirkstoff gegen Diabetes"},
				{"verschob", "planbare Operationen"},
				{"klärte", "über Bluthochdruck auf"},
				{"registrierte", "weniger Masernfälle"},
				{"beklagte", "lange Wartezeiten auf einen Facharzttermin"},
			},
			things: []string{"Impfungen", "Antibiotika", "Krankenhausbetten", "Pflegekräfte", "Arzttermine", "Allergien", "Diagnosen", "Infektionen", "Beipackzettel", "Blutwerte", "Operationen", "Medikamente", "Kassenbeiträge", "Grippewellen", "Vorsorgeuntersuchungen"},
		},
		{
			name: "Panorama", weight: 12,
			subjects: []string{"die Feuerwehr", "der Polizeisprecher", "das Landgericht", "eine Spaziergängerin", "der Angeklagte", "die Wasserschutzpolizei", "ein Landwirt", "die Staatsanwaltschaft", "der Zoll", "eine Rentnerin", "die Bergwacht", "ein Unbekannter", "das Ordnungsamt", "der Tierpark"},
			predicates: []predicate{
				{"rettete", "einen Hund aus dem Kanal"},
				{"löschte", "einen Brand im Dachstuhl"},
				{"verurteilte", "den Betrüger zu vier Jahren Haft"},
				{"nahm", "zwei Verdächtige fest"},
				{"fand", "eine Weltkriegsbombe im Garten"},
				{"evakuierte", "ein Wohnhaus wegen Gasgeruchs"},
				{"stahl", "Schmuck aus einer Villa"},
				{"suchte", "nach einem vermissten Wanderer"},
				{"beschlagnahmte", "geschmuggelte Zigaretten"},
				{"gewann", "eine Million im Lotto"},
				{"gestand", "den Überfall auf die Tankstelle"},
				{"fing", "eine entlaufene Kuh ein"},
				{"freute", "sich über Nachwuchs bei den Pinguinen"},
				{"warnte", "vor falschen Handwerkern"},
				{"sperrte", "den Marktplatz nach einem Unwetter"},
			},
			things: []string{"Zeugen", "Einbrüche", "Unwetter", "Waldbrände", "Ermittlungen", "Festnahmen", "Sturmschäden", "Prozesse", "Rettungskräfte", "Trickbetrüger", "Lottozahlen", "Notrufe", "Tatverdächtige", "Überschwemmungen", "Haftstrafen"},
		},
		{
			name: "Netz", weight: 8,
			subjects: []string{"die Plattform", "der Softwarehersteller", "das soziale Netzwerk", "der Netzbetreiber", "die Suchmaschine", "der Chiphersteller", "die Hackergruppe", "der Datenschützer", "das Start-up", "die Spieleentwicklerin", "der Cloudanbieter", "die App", "der Streamingdienst", "das Rechenzentrum"},
			predicates: []predicate{
				{"schloss", "eine Sicherheitslücke im Browser"},
				{"veröffentlichte", "ein Update für das Betriebssystem"},
				{"speicherte", "Passwörter unverschlüsselt"},
				{"löschte", "Konten mit gefälschten Profilen"},
				{"sperrte", "Nutzer wegen Hassrede"},
				{"stellte", "einen quelloffenen Sprachassistenten vor"},
				{"erpresste", "Firmen mit Schadsoftware"},
				{"beschleunigte", "den Ausbau der Glasfaser"},
				{"änderte", "den Algorithmus der Startseite"},
				{"trainierte", "ein neuronales Netz mit Fotos"},
				{"übertrug", "Daten auf fremde Server"},
				{"führte", "eine Anmeldung ohne Passwort ein"},
				{"verschlüsselte", "die Nachrichten von Ende zu Ende"},
				{"blendete", "mehr Werbung in den Videos ein"},
				{"drosselte", "die Bandbreite der Nutzer"},
			},
			things: []string{"Algorithmen", "Passwörter", "Datenlecks", "Smartphones", "Updates", "Cookies", "Server", "Hackerangriffe", "Funklöcher", "Chatbots", "Nutzerdaten", "Prozessoren", "Sicherheitslücken", "Browser", "Downloads"},
		},
		{
			name: "Verkehr", weight: 7,
			subjects: []string{"die Bahn", "der Flughafen", "die Autobahngesellschaft", "der Verkehrsverbund", "die Lokführerin", "das Verkehrsamt", "die Fluglinie", "der Busfahrer", "die Straßenmeisterei", "der Radverein", "die Reederei", "der Fahrgastverband", "die Fähre", "der Taxiverband"},
			predicates: []predicate{
				{"sperrte", "die Brücke für Lastwagen"},
				{"strich", "mehrere Verbindungen aus dem Fahrplan"},
				{"erneuerte", "die Weichen im Hauptbahnhof"},
				{"verhängte", "Tempo dreißig in der Innenstadt"},
				{"nahm", "eine Straßenbahnlinie in Betrieb"},
				{"warnte", "vor Staus am Autobahnkreuz"},
				{"verteuerte", "die Monatskarten"},
				{"baute", "einen Radweg an der Landstraße"},
				{"setzte", "Ersatzbusse zwischen den Bahnhöfen ein"},
				{"entgleiste", "bei einer Rangierfahrt"},
				{"landete", "wegen Nebels auf einem Ausweichflughafen"},
				{"richtete", "eine Umleitung ein"},
				{"bestellte", "Züge mit Batterieantrieb"},
				{"verlängerte", "die Startbahn"},
				{"kontrollierte", "die Ladung der Sattelzüge"},
			},
			things: []string{"Baustellen", "Verspätungen", "Züge", "Radwege", "Fahrpläne", "Staus", "Tunnel", "Parkplätze", "Fahrverbote", "Ladesäulen", "Umleitungen", "Brücken", "Fahrkarten", "Bahnsteige", "Flugausfälle"},
		},
	}
}

// overlap is the shared vocabulary of a pair of similar topics.
type overlap struct {
	first, second string
	words         topic
}

// overlaps returns the pairs of similar topics. A hasty annotator labels texts of the second topic as the first.
func overlaps() []overlap {
	return []overlap{
		{"Wissenschaft", "Gesundheit", topic{
			subjects: []string{"die Universität", "das Labor", "die Forscherin", "der Professor", "das Institut", "die Studienleiterin", "der Biologe"},
			predicates: []predicate{
				{"veröffentlichte", "eine Studie in einem Fachjournal"},
				{"wertete", "Proben aus zwölf Ländern aus"},
				{"stellte", "die Ergebnisse auf einem Kongress vor"},
				{"entschlüsselte", "das Erbgut eines Bakteriums"},
				{"bestätigte", "die Hypothese im Versuch"},
				{"erhielt", "Fördermittel für ein Projekt"},
				{"verglich", "die Daten von tausend Freiwilligen"},
			},
			things: []string{"Studien", "Proben", "Zellen", "Gene", "Laborversuche", "Fachartikel", "Bakterien", "Moleküle"},
		}},
		{"Wirtschaft", "Netz", topic{
			subjects: []string{"der Techkonzern", "die Gründerin", "das Kartellamt", "der Onlinehändler", "der Anbieter", "die Branche", "der Marktführer"},
			predicates: []predicate{
				{"kaufte", "einen Rivalen für zwei Milliarden"},
				{"ging", "an die Börse"},
				{"sammelte", "frisches Kapital ein"},
				{"stellte", "ein neues Geschäftsmodell vor"},
				{"kassierte", "ein Bußgeld der Wettbewerbshüter"},
				{"verlor", "Kunden an die Konkurrenz"},
				{"entließ", "Entwickler in mehreren Ländern"},
			},
			things: []string{"Marktanteile", "Investoren", "Abonnements", "Geschäftsmodelle", "Bestellungen", "Gründer", "Patente", "Gebühren"},
		}},
	}
}

// common returns the vocabulary that all topics share.
func common() topic {
	return topic{
		subjects: []string{"ein Sprecher", "die Sprecherin", "ein Beteiligter", "die Leitung", "der Verband", "die Stadt", "ein Experte", "das Land", "die Behörde", "eine Anwohnerin", "der Verein", "die Kommission"},
		predicates: []predicate{
			{"wollte", "sich zu Einzelheiten nicht äußern"},
			{"sprach", "von einem wichtigen Schritt"},
			{"rechnete", "mit weiteren Verzögerungen"},
			{"zeigte", "sich mit dem Ergebnis zufrieden"},
			{"kritisierte", "die Entscheidung scharf"},
			{"begrüßte", "den Vorschlag"},
			{"wartete", "noch auf eine Antwort"},
			{"verwies", "auf die laufenden Gespräche"},
			{"nannte", "die Lage schwierig"},
			{"bestätigte", "entsprechende Berichte"},
			{"lud", "zu einer Pressekonferenz ein"},
			{"kündigte", "weitere Schritte an"},
			{"zog", "eine gemischte Bilanz"},
			{"bat", "um Geduld"},
			{"rechtfertigte", "die hohen Kosten"},
		},
		things: []string{"Kosten", "Pläne", "Vorwürfe", "Ergebnisse", "Veränderungen", "Zweifel", "Gespräche", "Fristen", "Hoffnungen", "Entscheidungen", "Fragen", "Vorschläge", "Folgen", "Termine"},
	}
}

// frame contains the places, times and sources of sentences.
type frame struct{ places, days, sources []string }

func frames() frame {
	return frame{
		places:  []string{"in Leipzig", "in Köln", "in Wien", "in Hamburg", "in München", "in Zürich", "in Bremen", "in Dresden", "in Nürnberg", "in Graz", "in Münster", "in Görlitz", "in Osnabrück", "in Würzburg", "in Rostock", "in Saarbrücken", "in Lübeck", "in Innsbruck", "in Tübingen", "in Kassel"},
		days:    []string{"am Montag", "am Dienstag", "am Mittwoch", "am Donnerstag", "am Freitag", "am Wochenende", "in der Nacht", "am Vormittag", "am späten Abend", "zu Wochenbeginn", "überraschend", "nach langem Zögern", "wie erwartet", "zum zweiten Mal in diesem Jahr", "vor wenigen Tagen"},
		sources: []string{"der Nachrichtenagentur", "der Lokalzeitung", "eines Sprechers", "mehrerer Beteiligter", "des Senders", "aus dem Umfeld", "der Zuständigen", "von Beobachtern"},
	}
}
